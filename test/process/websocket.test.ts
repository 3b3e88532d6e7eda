import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { WebSocket } from 'ws'
import {
  nextClose,
  nextMessage,
  openWebSocket,
  startWebSocketBackend,
} from '../helpers/web-sockets.js'
import type { WebSocketBackend } from '../helpers/web-sockets.js'
import { readProc } from './daemon-run.js'
import { runCommand } from './run-program.js'
import type { Program } from './run-program.js'

const MIB = 1024 * 1024

describe('an open WebSocket', { timeout: 60_000 }, () => {
  for (const threads of [1, 2]) {
    test(`goes on after SIGTERM until it ends, with ${threads} threads`, async (t) => {
      const { start } = await setup(t, { threads, grace: 60 })
      const [balancer, url] = await start()
      const sockets = await openSome(t, url)
      balancer.kill('SIGTERM')
      await balancer.match(/stopping/)
      for (const socket of sockets) await echoes(socket)
      for (const socket of sockets) await closes(socket)
      assert.equal((await balancer.ended).code, 0)
    })

    test(`goes on across an upgrade until it ends, with ${threads} threads`, async (t) => {
      const { start } = await setup(t, { threads, grace: 60 })
      const [old, url] = await start()
      const sockets = await openSome(t, url)
      const starting = start('-u')
      old.kill('SIGQUIT')
      const [next, sameUrl] = await starting
      assert.equal(sameUrl, url)
      await old.match(/stopping/)
      for (const socket of sockets) await echoes(socket)
      const fresh = await openWebSocket(t, url)
      for (const socket of sockets) await closes(socket)
      assert.equal((await old.ended).code, 0)
      await echoes(fresh)
      await closes(fresh)
      next.kill('SIGTERM')
      assert.equal((await next.ended).code, 0)
    })
  }

  test('is cut when the grace period ends', async (t) => {
    const { start } = await setup(t, { threads: 1, grace: 1 })
    const [balancer, url] = await start()
    const socket = await openWebSocket(t, url)
    socket.on('error', () => undefined)
    const closed = nextClose(socket)
    balancer.kill('SIGTERM')
    assert.deepEqual(await closed, [1_006, ''])
    assert.equal((await balancer.ended).code, 0)
  })

  test('whose client does not read costs the balancer no memory', async (t) => {
    const { start, backend } = await setup(t, { threads: 1, grace: 60 })
    const [balancer, url] = await start()
    const accepted = once(backend.server, 'connection')
    const socket = await openWebSocket(t, url)
    const [served] = (await accepted) as [WebSocket]
    await echoes(socket)
    const before = residentBytes(balancer.pid)
    socket.pause()
    const total = 128 * MIB
    served.send(Buffer.alloc(total))
    // What other clients are served with meanwhile takes many turns of both processes.
    const other = await openWebSocket(t, url)
    for (let round = 0; round < 200; round++) await echoes(other)
    const held = residentBytes(balancer.pid) - before
    assert.ok(served.bufferedAmount > 64 * MIB, 'the backend is held up')
    assert.ok(held < 32 * MIB, `${held} bytes more`)
    const message = nextMessage(socket)
    socket.resume()
    assert.equal((await message)[0].length, total)
  })
})

interface Setup {
  readonly backend: WebSocketBackend
  /** Starts a balancer; resolves when it listens. */
  readonly start: (...more: string[]) => Promise<[Program, string]>
}

async function setup(
  t: TestContext,
  { threads, grace }: { threads: number; grace: number },
): Promise<Setup> {
  const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const conf = join(folder, 'conf.yaml')
  writeFileSync(
    conf,
    `upgrade_sock: upgrade.sock\ngrace_period_seconds: ${grace}\nthreads: ${threads}\n`,
  )
  const backend = await startWebSocketBackend(t)
  const args = ['proxy', '--to', `127.0.0.1:${backend.port}`, '--listen', '127.0.0.1:0', '-c', conf]
  const start = async (...more: string[]): Promise<[Program, string]> => {
    const program = runCommand(t, [...args, ...more])
    return [program, `ws://${await program.listening()}/`]
  }
  return { backend, start }
}

/** Some more than there are threads. */
function openSome(t: TestContext, url: string): Promise<WebSocket[]> {
  return Promise.all([1, 2, 3, 4].map(() => openWebSocket(t, url)))
}

async function echoes(socket: WebSocket): Promise<void> {
  const message = nextMessage(socket)
  socket.send('still there')
  assert.equal(String((await message)[0]), 'still there')
}

async function closes(socket: WebSocket): Promise<void> {
  const closed = nextClose(socket)
  socket.close(4_000, 'done')
  assert.deepEqual(await closed, [4_000, 'done'])
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readProc(pid, 'status'))?.[1]) * 1024
}
