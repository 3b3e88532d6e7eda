/**
 * Known attacks on proxies, each named after what was published about it. docs/guide/security.md has all
 * of them; here are those that no other test shows.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RequestHeader } from '../../src/http/index.js'
import { reply } from '../../src/testing/index.js'
import { GET } from '../helpers/frame-client.js'
import { frameClient } from '../helpers/memory-frame-client.js'
import { testProxy } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

describe('two readings of one message', () => {
  test('a body of HTTP/1.0 has a length or is none, and never lasts until the close', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const client = await proxy.client()
    client.send(`POST /one HTTP/1.0\r\nHost: a\r\n\r\n${SMUGGLED}`)
    await client.peer.untilEnded()
    await world.idle()
    const [request] = upstream.requests
    assert.deepEqual(
      upstream.requests.map(({ target }) => target),
      ['/one'],
    )
    assert.equal(request?.text, '')
  })

  for (const [what, fields] of [
    ['Content-Length and Transfer-Encoding', 'Content-Length: 3\r\nTransfer-Encoding: chunked'],
    [
      'Transfer-Encoding in two fields',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    ],
    ['a coding before chunked', 'Transfer-Encoding: gzip, chunked'],
    ['a coding behind chunked', 'Transfer-Encoding: chunked, identity'],
    ['chunked twice', 'Transfer-Encoding: chunked, chunked'],
    ['identity', 'Transfer-Encoding: identity'],
    ['an unknown coding', 'Transfer-Encoding: xchunked'],
    ['a Content-Length that is no number', 'Content-Length: 3x'],
    ['two that differ', 'Content-Length: 3\r\nContent-Length: 4'],
  ] as const) {
    test(`${what} is refused, and the connection closes`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answer(OK)
      const client = await proxy.client()
      const raw = `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n0\r\n\r\n${SMUGGLED}`
      const exchange = await client.request({ raw })
      assert.ok([400, 501].includes(exchange.status), `${exchange.status}`)
      await client.peer.untilEnded()
      assert.equal(upstream.connections.length, 0)
    })
  }

  test('Transfer-Encoding in HTTP/1.0 is refused, and the connection closes', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    const raw = `POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`
    assert.equal((await client.request({ raw })).status, 400)
    await client.peer.untilEnded()
    assert.equal(upstream.connections.length, 0)
  })

  test('a body that nobody has read never becomes the next request', async (t) => {
    const targets: string[] = []
    const { proxy } = await testProxy(t, {
      hooks: {
        requestFilter(session) {
          targets.push(session.reqHeader.target)
          session.respond(200, { body: 'hit' })
          return 'responded'
        },
      },
    })
    const client = await proxy.client()
    const head = `POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`
    const exchange = await client.request({ raw: head })
    assert.equal(exchange.status, 200)
    client.send(SMUGGLED)
    await client.peer.untilEnded()
    assert.deepEqual(targets, ['/one'])
  })

  test('a field of HTTP/2 with a line break in its value reaches nobody', async (t) => {
    for (const value of ['b\r\nx-evil: 1', 'b\nx-evil: 1', 'b\0', 'b\r']) {
      const { world, upstream, client } = await frameClient(t)
      upstream.answer(OK)
      client.request(1, [...GET, ['x-a', value]])
      await world.until(
        () => client.resetOf(1) !== undefined || client.isEnded(1) || client.ended,
        'an end',
        10_000,
      )
      // nghttp2 leaves such a field out; the request goes on without it.
      assert.ok(upstream.connections.every(({ text }) => !/x-a|evil/.test(text)))
    }
  })
})

describe('who decides what the upstream gets', () => {
  test('a client cannot have fields removed by Connection that the proxy adds', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        upstreamRequestFilter(_session: unknown, header: RequestHeader) {
          header.insertHeader('X-User', 'real')
          header.insertHeader('X-Forwarded-For', '10.255.0.1')
        },
      },
    })
    upstream.answer(OK)
    await proxy.request({
      headers: { Connection: 'close, X-User, X-Forwarded-For', 'X-User': 'claimed' },
    })
    const [request] = upstream.requests
    assert.equal(request?.headers.get('X-User'), 'real')
    assert.equal(request.headers.get('X-Forwarded-For'), '10.255.0.1')
    assert.ok(!(request.headers.get('Connection') ?? '').includes('X-'))
  })

  for (const target of [
    '//10.0.0.9/x',
    '/\\10.0.0.9/x',
    'http://10.0.0.9/x',
    'http://a@10.0.0.9/x',
    '/x?url=http://10.0.0.9/',
    '/../../10.0.0.9',
    '/%2f%2f10.0.0.9/x',
  ]) {
    test(`no target leads to another upstream: ${target}`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      const other = world.upstream('10.0.0.9:80', { answer: null })
      upstream.answer(OK)
      const client = await proxy.client()
      const exchange = await client.request({ raw: `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n` })
      assert.ok([200, 400].includes(exchange.status), `${exchange.status}`)
      assert.equal(upstream.requests.length, exchange.status === 200 ? 1 : 0)
      assert.equal(other.connections.length, 0)
    })
  }
})

describe('an upgrade that comes to nothing leaves no connection', () => {
  const ASK =
    'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

  test('when the upstream refuses it and closes', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(reply(403, 'no', { headers: { Connection: 'close' } }))
    const client = await proxy.client()
    assert.equal((await client.request({ raw: ASK })).status, 403)
    await upstream.connections[0]?.untilEnded()
    client.peer.end()
    await client.peer.untilClosed()
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })

  test('when the client leaves before the answer', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(ASK)
    const origin = await upstream.next()
    await origin.request()
    client.peer.reset()
    await origin.untilEnded()
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })
})
