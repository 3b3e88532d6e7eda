/** WebSocket over HTTP/2 (RFC 8441) to an HTTP/1 upstream, and CONNECT over HTTP/2. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import { connect } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'

const WEBSOCKET = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':path': '/chat?x=1',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'a, b',
}
const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n' +
  'Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: b\r\n\r\n'

describe('WebSocket over HTTP/2', { timeout: 60_000 }, () => {
  test('is offered, and goes to the upstream as an upgrade', async (t) => {
    let asked: IncomingMessage | undefined
    const { session, proxy } = await start(t, (request, socket) => {
      asked = request
      socket.write(SWITCHING)
      socket.pipe(socket)
    })
    assert.equal(session.remoteSettings.enableConnectProtocol, true)
    const stream = session.request(WEBSOCKET)
    // Sent before anybody has agreed: it must wait.
    stream.write('early ')
    const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    assert.equal(fields[':status'], 200)
    assert.equal(fields['sec-websocket-protocol'], 'b')
    assert.equal(fields['sec-websocket-accept'], undefined)
    assert.equal(fields.upgrade, undefined)
    assert.equal(asked?.method, 'GET')
    assert.equal(asked.url, '/chat?x=1')
    assert.equal(asked.headers.upgrade, 'websocket')
    assert.match(asked.headers['sec-websocket-key'] ?? '', /^[A-Za-z0-9+/]{22}==$/)
    assert.equal(asked.headers['sec-websocket-protocol'], 'a, b')
    stream.write('late')
    await textOf(stream, 'early late')
    const big = 'x'.repeat(1_000_000)
    stream.end(big)
    await textOf(stream, big)
    await once(stream, 'close')
    assert.equal(stream.rstCode, 0)
    assert.equal(proxy.counters.get('tunnels'), 1)
    // It is one stream of many.
    assert.equal(session.destroyed, false)
  })

  test('what the upstream refuses is answered as it says', async (t) => {
    const { session } = await start(t, (_request, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    })
    const stream = session.request(WEBSOCKET)
    const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    assert.equal(fields[':status'], 403)
    await textOf(stream, 'no')
    if (!stream.closed) await once(stream, 'close')
    assert.equal(stream.rstCode, 0)
  })

  test('an upstream that breaks resets the stream', async (t) => {
    const { session } = await start(t, (_request, socket) => {
      socket.write(SWITCHING)
      socket.once('data', () => socket.resetAndDestroy())
    })
    const stream = session.request(WEBSOCKET)
    stream.write('x')
    stream.resume()
    const [error] = (await once(stream, 'error')) as [Error]
    assert.match(error.message, /INTERNAL_ERROR/)
  })

  test('a client that breaks off takes the upstream with it', async (t) => {
    let gone = (): void => {}
    const isGone = new Promise<void>((resolve) => {
      gone = resolve
    })
    const { session } = await start(t, (_request, socket) => {
      socket.write(SWITCHING)
      socket.on('error', () => undefined)
      socket.on('close', gone)
    })
    const stream = session.request(WEBSOCKET)
    stream.on('error', () => undefined)
    await once(stream, 'response')
    stream.destroy(new Error('left'))
    await isGone
  })

  test('other protocols are refused', async (t) => {
    const { session } = await start(t, () => undefined)
    for (const fields of [
      { ...WEBSOCKET, ':protocol': 'connect-udp' },
      { ':method': 'CONNECT', ':authority': 'a.example:1' },
    ]) {
      const stream = session.request(fields)
      const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders]
      assert.equal(answer[':status'], 405)
      stream.resume()
      if (!stream.closed) await once(stream, 'close')
    }
  })
})

describe('CONNECT over HTTP/2', { timeout: 60_000 }, () => {
  test('opens a tunnel where it is allowed', async (t) => {
    let target: string | undefined
    const { session } = await start(
      t,
      (request, socket) => {
        target = request.url
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(socket)
      },
      { allowConnect: true },
    )
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'a.example:1' })
    const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    assert.equal(fields[':status'], 200)
    assert.equal(target, 'a.example:1')
    stream.end('through')
    await textOf(stream, 'through')
    await once(stream, 'close')
    assert.equal(stream.rstCode, 0)
  })
})

/** A proxy in front of a server that gives every upgrade and CONNECT to `onTunnel`. */
async function start(
  t: TestContext,
  onTunnel: (request: IncomingMessage, socket: Socket) => void,
  options: StartProxyOptions = {},
): Promise<{ proxy: RunningProxy; session: ClientHttp2Session }> {
  const server = createServer()
  const sockets = new Set<Socket>()
  const take = (request: IncomingMessage, stream: unknown): void => {
    const socket = stream as Socket
    sockets.add(socket)
    socket.on('error', () => undefined)
    onTunnel(request, socket)
  }
  server.on('upgrade', take)
  server.on('connect', take)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const proxy = await startProxy(port, { listener: { h2c: true }, ...options })
  const session = connect(`http://127.0.0.1:${proxy.port}`)
  t.after(() => {
    session.destroy()
    proxy.destroy()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(session, 'remoteSettings')
  return { proxy, session }
}

/** Reads exactly `expected`. */
async function textOf(stream: NodeJS.ReadableStream, expected: string): Promise<void> {
  let text = ''
  await new Promise<void>((resolve) => {
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (text.length < expected.length) return
      stream.off('data', onData)
      resolve()
    }
    stream.on('data', onData)
  })
  assert.equal(text, expected)
  stream.resume()
}
