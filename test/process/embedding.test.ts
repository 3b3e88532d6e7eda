/** Programs that go on after their server could not start: nothing of it may be left in them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Sockets, loadLibc } from '../../src/os/internal.js'
import { runProgram } from './run-program.js'
import type { Program, ProgramOptions } from './run-program.js'

const libc = loadLibc()

describe('a program that goes on', { skip: libc === null && 'no libc', timeout: 60_000 }, () => {
  const sockets = new Sockets(libc!)

  test('has no socket of systemd open any more', async (t) => {
    const name = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const descriptors = [sockets.open(name), sockets.open(name)]
    t.after(() => {
      for (const fd of descriptors) sockets.close(fd)
    })
    for (const fd of descriptors) {
      assert.equal(sockets.bind(fd, name), 0)
      assert.equal(sockets.listen(fd, 10), 0)
    }
    const address = `127.0.0.1:${sockets.localEnd(descriptors[0]!)[1]}`
    const program = await startInVain(t, [address], {
      descriptors,
      shell: 'export LISTEN_FDS=2 LISTEN_PID=$$',
    })
    await program.match(new RegExp(`listening on ${address}`))
    const open = socketsOf(program.pid)
    for (const fd of descriptors) {
      assert.ok(!open.includes(readlinkSync(`/proc/self/fd/${fd}`)))
    }
  })

  test('has no listener open any more, with threads', async (t) => {
    const program = await startInVain(t, ['127.0.0.1:0'], { variables: { THREADS: '2' } })
    await program.match(/listening on 127/)
    assert.deepEqual(socketsOf(program.pid), [])
  })
})

/** Starts a server on `addresses` and on one that is taken; resolves when the program goes on. */
async function startInVain(
  t: TestContext,
  addresses: readonly string[],
  options: ProgramOptions,
): Promise<Program> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const args = [...addresses, `127.0.0.1:${port}`]
  const program = runProgram(t, './embedding-program.js', args, options)
  await program.match(/goes on after: .* in use/)
  return program
}

/** The sockets of a process, but for its output, which Node connects by sockets. */
function socketsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => Number(fd) > 2)
    .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    .filter((target) => target.startsWith('socket:'))
}
