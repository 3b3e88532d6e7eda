/** PROXY headers before TLS, on real sockets and on both sides. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { TLV, tlvText } from '../../src/protocols/index.js'
import type { ListenerTls } from '../../src/proxy/index.js'
import type { ConnectionDigest } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.2 55555 443\r\n'

interface Answering extends RunningProxy {
  readonly seen: ConnectionDigest[]
}

/** A proxy that answers each request itself, with the client's address. */
async function answering(t: TestContext, options: StartProxyOptions): Promise<Answering> {
  const seen: ConnectionDigest[] = []
  const running = await startProxy(0, {
    ...options,
    hooks: {
      requestFilter: (session) => {
        seen.push(session.digest)
        session.respond(200, { body: session.clientAddress })
        return 'responded'
      },
    },
  })
  t.after(() => {
    running.destroy()
  })
  return { ...running, seen }
}

async function certificate(): Promise<{ readonly ca: string; readonly tls: ListenerTls }> {
  const ca = await testCa()
  const { cert, key } = await ca.issue({ names: ['a.example'] })
  return { ca: ca.cert, tls: { certificates: [{ cert, key }] } }
}

for (const io of ['ring', 'sockets'] as const) {
  describe(`a PROXY header before TLS, with ${io}`, () => {
    test('is taken from a client, whose session is then as without it', async (t) => {
      const { ca, tls } = await certificate()
      const { port, seen } = await answering(t, { io, listener: { proxyProtocol: true, tls } })
      const socket = connect({ host: '127.0.0.1', port })
      // With the ClientHello right behind it, most of the time in one read.
      socket.write(V1)
      const secured = connectTls({ socket, servername: 'a.example', ca })
      secured.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      let text = ''
      for await (const piece of secured) text += String(piece)
      assert.match(text, /192\.0\.2\.1:55555$/)
      assert.equal(seen[0]?.tls?.sni, 'a.example')
      assert.equal(seen[0].proxyProtocol?.localAddress, `127.0.0.1:${port}`)
    })

    test('goes to a backend before its TLS, with what is known of the client’s own', async (t) => {
      const { ca, tls } = await certificate()
      const back = await answering(t, { io, listener: { proxyProtocol: true, tls } })
      const front = await startProxy(back.port, {
        io,
        listener: { tls },
        peer: { proxyProtocol: 2, tls: true, sni: 'a.example', ca },
      })
      t.after(() => {
        front.destroy()
      })
      const client = connectTls({
        host: '127.0.0.1',
        port: front.port,
        servername: 'a.example',
        ALPNProtocols: ['http/1.1'],
        ca,
      })
      await once(client, 'secureConnect')
      const { localPort } = client
      client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      let text = ''
      for await (const piece of client) text += String(piece)
      assert.ok(text.endsWith(`127.0.0.1:${localPort}`), text)
      const { tlvs, tls: told } = back.seen[0]!.proxyProtocol!.header
      assert.deepEqual(
        [tlvText(tlvs, TLV.AUTHORITY), tlvText(tlvs, TLV.ALPN), told?.connected],
        ['a.example', 'http/1.1', true],
      )
      assert.equal(tlvText(told!.tlvs, TLV.SSL_VERSION), 'TLSv1.3')
    })

    test('is taken on a unix socket, from clients that are trusted', async (t) => {
      const folder = temporaryFolder(t)
      const path = join(folder, 'a.sock')
      const listener = { proxyProtocol: { trusted: ['unix:'] } }
      await answering(t, { io, listen: `unix:${path}`, listener })
      const back = `unix:${path}`
      const front = await startProxy(0, { io, peerAddress: back, peer: { proxyProtocol: 1 } })
      t.after(() => {
        front.destroy()
      })
      const asking = request({ host: '127.0.0.1', port: front.port, agent: false })
      asking.end()
      const [answer] = (await once(asking, 'response')) as [IncomingMessage]
      const { localPort } = answer.socket
      let text = ''
      for await (const piece of answer) text += String(piece)
      assert.equal(text, `127.0.0.1:${localPort}`)
    })
  })
}
