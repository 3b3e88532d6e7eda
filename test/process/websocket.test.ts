import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { WebSocket } from 'ws'
import { testCa } from '../helpers/certificates.js'
import {
  nextClose,
  nextMessage,
  openWebSocket,
  startWebSocketBackend,
} from '../helpers/web-sockets.js'
import type { WebSocketBackend } from '../helpers/web-sockets.js'
import { readProc } from './daemon-run.js'
import { PATIENT_UPGRADE } from './patient-upgrade.js'
import { runCommand } from './run-program.js'
import type { Program } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const MIB = 1024 * 1024

describe('an open WebSocket', { timeout: 60_000 }, () => {
  for (const [threads, tls] of [
    [1, false],
    [2, false],
    [2, true],
  ] as const) {
    const how = `with ${threads} threads${tls ? ' and TLS' : ''}`
    test(`goes on after SIGTERM until it ends, ${how}`, async (t) => {
      const { start, ca } = await setup(t, { threads, grace: 60, tls })
      const [balancer, url] = await start()
      const sockets = await openSome(t, url, ca)
      balancer.kill('SIGTERM')
      await balancer.match(/stopping/)
      for (const socket of sockets) await echoes(socket)
      for (const socket of sockets) await closes(socket)
      assert.equal((await balancer.ended).code, 0)
    })

    test(`goes on across an upgrade until it ends, ${how}`, async (t) => {
      const { start, ca } = await setup(t, { threads, grace: 60, tls })
      const [old, url] = await start()
      const sockets = await openSome(t, url, ca)
      const starting = start('-u')
      old.kill('SIGQUIT')
      const [next, sameUrl] = await starting
      assert.equal(sameUrl, url)
      await old.match(/stopping/)
      for (const socket of sockets) await echoes(socket)
      const fresh = await openWebSocket(t, url, { ca })
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
  /** Whom clients have to trust; `undefined` without TLS. */
  readonly ca: string | undefined
  /** Starts a balancer; resolves when it listens. */
  readonly start: (...more: string[]) => Promise<[Program, string]>
}

async function setup(
  t: TestContext,
  { threads, grace, tls = false }: { threads: number; grace: number; tls?: boolean },
): Promise<Setup> {
  const folder = temporaryFolder(t)
  const backend = await startWebSocketBackend(t)
  const ca = tls ? await testCa() : undefined
  const leaf = await ca?.issue({ names: ['127.0.0.1'] })
  for (const [name, pem] of Object.entries(leaf ?? {}))
    writeFileSync(join(folder, name), String(pem))
  const listener = `address: "127.0.0.1:0"${tls ? ', tls: { cert: cert, key: key }' : ''}`
  const conf = join(folder, 'conf.yaml')
  writeFileSync(
    conf,
    [
      PATIENT_UPGRADE,
      `grace_period_seconds: ${grace}`,
      `threads: ${threads}`,
      `listeners: [{ ${listener} }]`,
      `upstreams: { app: { backends: [{ address: "127.0.0.1:${backend.port}" }] } }`,
    ].join('\n'),
  )
  const start = async (...more: string[]): Promise<[Program, string]> => {
    const program = runCommand(t, ['run', '-c', conf, ...more])
    return [program, `${tls ? 'wss' : 'ws'}://${await program.listening()}/`]
  }
  return { backend, ca: ca?.cert, start }
}

/** Some more than there are threads. */
function openSome(t: TestContext, url: string, ca: string | undefined): Promise<WebSocket[]> {
  return Promise.all([1, 2, 3, 4].map(() => openWebSocket(t, url, { ca })))
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
