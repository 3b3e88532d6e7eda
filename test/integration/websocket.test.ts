/** WebSockets of a real client and a real server, through the whole proxy on real sockets. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { request as requestByTls } from 'node:https'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { WebSocket } from 'ws'
import type { NodeNetworkOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy } from '../helpers/start-proxy.js'
import {
  nextClose,
  nextMessage,
  openWebSocket,
  startWebSocketBackend,
} from '../helpers/web-sockets.js'
import type { WebSocketBackend } from '../helpers/web-sockets.js'

const MIB = 1024 * 1024

for (const way of ['ring', 'handles', 'sockets', 'TLS'] as const) {
  describe(`WebSockets, with ${way}`, { timeout: 120_000 }, () => {
    test('carry text, binary and fragments', async (t) => {
      const { open } = await start(t, way)
      const socket = await open()
      for (const [sent, isBinary] of [
        [Buffer.from('gr\u00fc\u00dfe \ud83d\ude80'), false],
        [randomBytes(70_000), true],
        [Buffer.alloc(0), true],
      ] as const) {
        socket.send(sent, { binary: isBinary })
        const [got, wasBinary] = await nextMessage(socket)
        assert.ok(got.equals(sent))
        assert.equal(wasBinary, isBinary)
      }
      for (const [piece, fin] of [
        ['one ', false],
        ['two ', false],
        ['three', true],
      ] as const) {
        socket.send(piece, { fin })
      }
      assert.equal(String((await nextMessage(socket))[0]), 'one two three')
    })

    test('carry pings and pongs both ways', async (t) => {
      const { backend, open } = await start(t, way)
      const accepted = once(backend.server, 'connection')
      const socket = await open()
      const [served] = (await accepted) as [WebSocket]
      for (const [from, data] of [
        [socket, 'up'],
        [served, 'down'],
      ] as const) {
        const pong = once(from, 'pong')
        from.ping(data)
        assert.equal(String((await pong)[0]), data)
      }
    })

    test('close with the code and the reason of either side', async (t) => {
      const { backend, proxy, open } = await start(t, way)
      for (const closer of ['client', 'server'] as const) {
        const accepted = once(backend.server, 'connection')
        const client = await open()
        const [server] = (await accepted) as [WebSocket]
        const ends = Promise.all([nextClose(client), nextClose(server)])
        const [code, reason] = closer === 'client' ? [4_001, 'bye'] : [1_013, 'try again later']
        const side = closer === 'client' ? client : server
        side.close(code, reason)
        assert.deepEqual(await ends, [
          [code, reason],
          [code, reason],
        ])
      }
      await until(() => proxy.counters.get('downstreamConnectionsOpen') === 0)
      assert.equal(proxy.counters.get('tunnelsOpen'), 0)
      assert.equal(proxy.counters.errors('PGR_DOWNSTREAM_CLOSED'), 0)
    })

    test('end on one side when the other is cut off', async (t) => {
      const { backend, open } = await start(t, way)
      for (const cut of ['client', 'server'] as const) {
        const accepted = once(backend.server, 'connection')
        const client = await open()
        const [server] = (await accepted) as [WebSocket]
        const other = nextClose(cut === 'client' ? server : client)
        const side = cut === 'client' ? client : server
        side.on('error', () => undefined)
        side.terminate()
        assert.deepEqual(await other, [1_006, ''])
      }
    })

    test('compress as client and server have agreed', async (t) => {
      const { backend, open } = await start(t, way, { perMessageDeflate: { threshold: 0 } })
      const accepted = once(backend.server, 'connection')
      const socket = await open()
      const [served] = (await accepted) as [WebSocket]
      assert.match(socket.extensions, /^permessage-deflate/)
      assert.match(served.extensions, /^permessage-deflate/)
      const text = 'again and '.repeat(100_000)
      socket.send(text)
      assert.equal(String((await nextMessage(socket))[0]), text)
    })

    test('carry a message of 64 MiB both ways', async (t) => {
      const { open } = await start(t, way)
      const socket = await open()
      const sent = randomBytes(MIB)
      const whole = Buffer.concat(Array<Buffer>(64).fill(sent))
      socket.send(whole)
      const [got] = await nextMessage(socket)
      assert.equal(hashOf(got), hashOf(whole))
    })

    const count = way === 'ring' ? 1_000 : 100
    test(`are ${count} at once, each with its own bytes`, async (t) => {
      const { backend, proxy, open } = await start(t, way)
      const clients: WebSocket[] = []
      // Not all at the same moment, or the backlog of the test's own server overflows.
      for (let begun = 0; begun < count; begun += 100) {
        const some = Array.from({ length: 100 }, () => open())
        clients.push(...(await Promise.all(some)))
      }
      assert.equal(proxy.counters.get('tunnelsOpen'), count)
      const answers = clients.map((client) => nextMessage(client))
      for (const [index, client] of clients.entries()) client.send(`number ${index}`)
      const texts = (await Promise.all(answers)).map(([data]) => String(data))
      assert.deepEqual(
        texts,
        clients.map((_, index) => `number ${index}`),
      )
      const ends = clients.map((client) => nextClose(client))
      for (const client of clients) client.close(1_000)
      await Promise.all(ends)
      await until(() => proxy.counters.get('tunnelsOpen') === 0 && backend.sockets.size === 0)
      assert.equal(proxy.counters.get('tunnels'), count)
      assert.equal(proxy.counters.get('upstreamConnectionsOpened'), count)
    })

    test('that the backend refuses give its answer and free both connections', async (t) => {
      const { backend, proxy, port, ca } = await start(t, way, {
        verifyClient: (_info, answer) => {
          answer(false, 401, 'not you')
        },
      })
      const asked = (ca === undefined ? request : requestByTls)({
        port,
        host: '127.0.0.1',
        ca,
        agent: false,
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        },
      })
      asked.end()
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      let body = ''
      for await (const chunk of answer) body += String(chunk)
      assert.deepEqual([answer.statusCode, body], [401, 'not you'])
      // The server says that it closes; the client is free to ask again.
      await until(() => backend.sockets.size === 0)
      asked.destroy()
      await until(() => proxy.counters.get('downstreamConnectionsOpen') === 0)
      assert.equal(proxy.counters.get('tunnels'), 0)
    })
  })
}

interface Running {
  readonly backend: WebSocketBackend
  readonly proxy: RunningProxy
  readonly port: number
  /** Whom its clients have to trust; `undefined` without TLS. */
  readonly ca: string | undefined
  /** A client that is connected. */
  readonly open: () => Promise<WebSocket>
}

/** @param way how the bytes go; with `TLS` from the client to the proxy. */
async function start(
  t: TestContext,
  way: NodeNetworkOptions['io'] | 'TLS',
  options: Parameters<typeof startWebSocketBackend>[2] = {},
): Promise<Running> {
  const backend = await startWebSocketBackend(t, undefined, options)
  const ca = way === 'TLS' ? await testCa() : undefined
  const certificate = await ca?.issue({ names: ['127.0.0.1'] })
  const proxy = await startProxy(backend.port, {
    ...(way !== 'TLS' && { io: way }),
    ...(certificate && { listener: { tls: { certificates: [certificate] } } }),
  })
  t.after(() => {
    proxy.destroy()
  })
  const { port } = proxy
  const url = `${ca === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}/chat`
  return { backend, proxy, port, ca: ca?.cert, open: () => openWebSocket(t, url, { ca: ca?.cert }) }
}

/** Resolves in the turn of the event loop in which `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

function hashOf(data: Buffer): string {
  return createHash('sha1').update(data).digest('hex')
}
