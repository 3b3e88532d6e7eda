/** Upstreams behind an HTTP proxy that is not ours, on real sockets, over TCP and a unix socket. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, request } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { PeerOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { startProxy } from '../helpers/start-proxy.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

interface ConnectProxy {
  readonly server: Server
  /** Where tunnels were asked for, with the field that the proxy wants. */
  readonly asked: string[]
}

/** Opens tunnels for those who have the key. */
function connectProxy(t: TestContext): ConnectProxy {
  const asked: string[] = []
  const server = createHttpServer()
  const open = new Set<Socket>()
  server.on('connect', (sent: IncomingMessage, client: Socket) => {
    asked.push(`${sent.url} ${sent.headers['proxy-authorization']}`)
    const [host, port] = (sent.url ?? '').split(':')
    if (sent.headers['proxy-authorization'] !== 'Basic key') {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    const origin = connect({ host: host ?? '', port: Number(port) })
    for (const socket of [client, origin]) {
      open.add(socket)
      socket.on('error', () => undefined)
    }
    origin.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      client.pipe(origin).pipe(client)
    })
  })
  t.after(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return { server, asked }
}

async function listening(t: TestContext, server: Server, path?: string): Promise<number> {
  server.listen(path ?? { port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as Partial<AddressInfo>).port ?? 0
}

async function ask(t: TestContext, backendPort: number, peer: PeerOptions, io: 'ring' | 'sockets') {
  const { port, destroy } = await startProxy(backendPort, { io, peer })
  t.after(destroy)
  const asking = request({ host: '127.0.0.1', port, agent: false })
  asking.end()
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  let text = ''
  for await (const piece of answer) text += String(piece)
  return `${answer.statusCode} ${text}`
}

for (const io of ['ring', 'sockets'] as const) {
  describe(`an upstream behind an HTTP proxy, with ${io}`, () => {
    test('is reached by TLS within the tunnel, whose proxy is on a unix socket', async (t) => {
      const ca = await testCa()
      const identity = await ca.issue({ names: ['a.example'] })
      const backend = createHttpsServer(identity, (_, answer) => answer.end('secret'))
      const backendPort = await listening(t, backend)
      const folder = temporaryFolder(t)
      const { server, asked } = connectProxy(t)
      await listening(t, server, join(folder, 'proxy.sock'))
      const proxy = {
        address: `unix:${join(folder, 'proxy.sock')}`,
        headers: { 'Proxy-Authorization': 'Basic key' },
      }
      const peer = { tls: true, sni: 'a.example', ca: ca.cert, proxy }
      assert.equal(await ask(t, backendPort, peer, io), '200 secret')
      assert.deepEqual(asked, [`127.0.0.1:${backendPort} Basic key`])
    })

    test('is reached in the clear, with options of the socket, and not without the key', async (t) => {
      const backend = createHttpServer((_, answer) => answer.end('plain'))
      const backendPort = await listening(t, backend)
      const { server } = connectProxy(t)
      const address = `127.0.0.1:${await listening(t, server)}`
      const headers = { 'Proxy-Authorization': 'Basic key' }
      const peer = { proxy: { address, headers }, socket: { dscp: 10 } }
      assert.equal(await ask(t, backendPort, peer, io), '200 plain')
      const refused = await ask(t, backendPort, { proxy: { address } }, io)
      assert.equal(refused, '502 502 Bad Gateway\n')
    })
  })
}
