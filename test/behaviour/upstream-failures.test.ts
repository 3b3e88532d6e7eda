import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { TestRequest } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { UPSTREAM, testProxy } from '../helpers/test-world.js'

const MIB = 1024 * 1024
const OK = reply(200, 'ok')
const GET: TestRequest = { path: '/p?secret=1' }
const POST: TestRequest = { method: 'POST', body: 'abc' }

describe('an upstream that cannot be reached', () => {
  test('is a 502 when it refuses, with a small body and a log line that says which and why', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.down()
    const client = await proxy.client()
    const exchange = await client.request(GET)
    assert.deepEqual([exchange.status, exchange.text], [502, '502 Bad Gateway\n'])
    assert.deepEqual(exchange.headers.entries, [
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Content-Length', '16'],
      ['Cache-Control', 'private, no-store'],
      ['Date', 'Thu, 01 Jan 2026 00:00:00 GMT'],
    ])
    const line = exchange.logs.find(({ level }) => level === 'error')
    assert.equal(line?.fields['code'], 'PGR_CONNECT_REFUSED')
    assert.equal(line.fields['peer'], UPSTREAM)
    assert.equal(line.fields['reason'], `connect ${UPSTREAM}: connection refused`)
    assert.equal(line.fields['request'], 'GET /p, Host: test.example')
    assert.equal(world.counters.errors('PGR_CONNECT_REFUSED'), 1)
    // The client's connection is none the worse for it.
    assert.equal((await client.request(GET)).status, 502)
  })

  test('is a 503 when there is no peer', async (t) => {
    const { proxy } = await testProxy(t, { hooks: { upstreamPeer: () => undefined } })
    const { status, text, attempts, counters, error } = await proxy.request(GET)
    assert.deepEqual([status, text], [503, '503 Service Unavailable\n'])
    assert.deepEqual([attempts, counters['attempts']], [[], undefined])
    assert.equal(error?.code, 'PGR_NO_PEER')
  })

  test('is a 504 when connecting takes too long', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.blackhole()
    const { status, tookMs, error } = await proxy.request(POST)
    assert.deepEqual([status, tookMs, error?.code], [504, 1_000, 'PGR_CONNECT_TIMEOUT'])
  })

  test('is a 502 when its name cannot be resolved', async (t) => {
    const upstreamPeer = (): HttpPeer => new HttpPeer('no-such-host.invalid:80')
    const { proxy } = await testProxy(t, { hooks: { upstreamPeer } })
    const { status, error } = await proxy.request(GET)
    assert.deepEqual([status, error?.code], [502, 'PGR_RESOLVE_FAILED'])
  })
})

describe('an upstream that closes without an answer', () => {
  test('is logged without a cause, for there is none', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply.close())
    const { status, logs } = await proxy.request(POST)
    const line = logs.find(({ level }) => level === 'error')
    assert.equal(status, 502)
    assert.deepEqual(
      [line?.fields['code'], line?.fields['cause']],
      ['PGR_UPSTREAM_CLOSED', undefined],
    )
  })
})

describe('an upstream that is silent', () => {
  for (const request of [GET, POST]) {
    test(`is a 504, and its connection is closed (${request.method ?? 'GET'})`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answer(reply.never())
      const { status, tookMs, error } = await proxy.request(request)
      assert.deepEqual([status, tookMs, error?.code], [504, 60_000, 'PGR_UPSTREAM_READ_TIMEOUT'])
      assert.deepEqual([upstream.connections.length, upstream.open], [1, 0])
    })
  }

  test('in the middle of its head is a 504', async (t) => {
    const { proxy, upstream } = await testProxy(t, { peer: { readTimeoutMs: 5_000 } })
    upstream.answer(OK.cutAfter(18, 'stall'))
    const { status, tookMs } = await proxy.request(GET)
    assert.deepEqual([status, tookMs], [504, 5_000])
  })

  test('in the middle of its body cuts the answer', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(
      reply
        .raw(`${CHUNKED}3\r\nabc\r\n`)
        .followedBy(reply.raw('3\r\ndef\r\n').after(59_000))
        .followedBy(reply.never()),
    )
    const exchange = await proxy.request(GET)
    assert.deepEqual([exchange.text, exchange.failure], ['abcdef', 'ended'])
    assert.equal(exchange.tookMs, 59_000 + 60_000)
    assert.equal(exchange.error?.code, 'PGR_UPSTREAM_READ_TIMEOUT')
    assert.equal(upstream.open, 0)
  })

  test('may stay silent while a slow client holds its answer up', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const total = 4 * MIB
    upstream.answer(reply(200, Buffer.alloc(total)))
    const { peer: client } = await proxy.client()
    client.keepsBytes = false
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.pause()
    await world.advance(55_000)
    assert.equal(client.bytes, 0)
    client.onBytes = () => {
      if (client.bytes > total / 2) client.pause()
    }
    client.resume()
    await world.advance(55_000)
    assert.ok(client.bytes > total / 2 && client.bytes < total)
    client.onBytes = null
    client.resume()
    await client.until(() => client.bytes > total, 'the whole answer')
    assert.equal(proxy.sessions[0]?.error, undefined)
  })

  test('that takes no bytes of a request is a 504', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${4 * MIB}\r\n\r\n`)
    const origin = await upstream.next()
    origin.keepsBytes = false
    origin.pause()
    client.send(Buffer.alloc(4 * MIB))
    const { status, tookMs, error } = await client.exchange('PUT')
    assert.deepEqual([status, tookMs, error?.code], [504, 60_000, 'PGR_UPSTREAM_WRITE_TIMEOUT'])
    await client.peer.untilEnded()
    assert.equal(world.clock.nowMs(), 60_000)
    origin.resume()
    await origin.untilEnded()
  })
})

/** How an upstream breaks off, and what an HTTP/1.1 client has got by then. */
interface Break {
  readonly name: string
  readonly sends: string
  /** Absent: the client gets a 502. */
  readonly clientGets?: string
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n'
const BREAKS: readonly Break[] = [
  { name: 'before its head', sends: '' },
  { name: 'in its head', sends: 'HTTP/1.1 200 OK\r\nContent-Le' },
  {
    name: 'after an interim response',
    sends: 'HTTP/1.1 100 Continue\r\n\r\n',
  },
  {
    name: 'in a body by length',
    sends: 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 9\r\n\r\nabc',
    clientGets: 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 9\r\n\r\nabc',
  },
  {
    name: 'in a chunk',
    sends: `${CHUNKED}9\r\nabc`,
    clientGets: `${CHUNKED}3\r\nabc\r\n`,
  },
  {
    name: 'between chunks',
    sends: `${CHUNKED}3\r\nabc\r\n`,
    clientGets: `${CHUNKED}3\r\nabc\r\n`,
  },
  {
    name: 'in the trailers',
    sends: `${CHUNKED}3\r\nabc\r\n0\r\nX: 1\r\n`,
    clientGets: `${CHUNKED}3\r\nabc\r\n`,
  },
]

describe('an upstream that breaks off', () => {
  for (const { name, sends, clientGets } of BREAKS) {
    for (const how of ['end', 'reset'] as const) {
      test(`${name} (${how})`, async (t) => {
        const { proxy, upstream } = await testProxy(t)
        upstream.answer(reply.raw(sends).after(5).followedBy(BREAK[how].after(5)))
        const exchange = await proxy.request(POST)
        if (clientGets === undefined) assert.equal(exchange.status, 502)
        else assert.equal(exchange.raw.toString('latin1'), clientGets)
        assert.equal(exchange.complete, clientGets === undefined)
        assert.equal(exchange.failure, clientGets === undefined ? '' : 'ended')
        assert.equal(exchange.tookMs, 10)
        assert.equal(exchange.error?.source, 'upstream')
        assert.equal(upstream.connections.length, 1)
      })
    }
  }

  for (const version of ['1.0', '1.1'] as const) {
    test(`with a reset in a body until close, to an HTTP/${version} client`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      const untilClose = reply.raw('HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabc')
      upstream.answer(untilClose.followedBy(reply.reset().after(5)))
      const exchange = await proxy.request({ version })
      assert.equal(exchange.text, 'abc')
      // A FIN would make the body look complete to an HTTP/1.0 client.
      assert.equal(exchange.failure, version === '1.0' ? 'reset' : 'ended')
      assert.equal(exchange.complete, false)
      assert.equal(exchange.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
    })
  }

  test('in a chunked body to an HTTP/1.0 client, who gets a reset', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply.raw(`${CHUNKED}3\r\nabc\r\n`).followedBy(reply.close().after(5)))
    const exchange = await proxy.request({ raw: 'GET / HTTP/1.0\r\n\r\n' })
    assert.deepEqual([exchange.text, exchange.failure], ['abc', 'reset'])
  })
})

const BREAK = { end: reply.close(), reset: reply.reset() }

describe('an upstream that talks nonsense', () => {
  const heads: readonly string[] = [
    'SSH-2.0-OpenSSH_9.6\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 1\n\na',
    'HTTP/1.1 200 OK\r\nX : 1\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(33),
    `HTTP/1.1 200 OK\r\n${`X: ${'x'.repeat(16_000)}\r\n`.repeat(5)}\r\n`,
    `HTTP/1.1 200 OK\r\n${'X: 1\r\n'.repeat(129)}\r\n`,
    reply.garbage().bytes.toString('latin1'),
  ]
  for (const head of heads) {
    test(`is a 502: ${JSON.stringify(head.slice(0, 60))}`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answerNext(head, OK)
      const client = await proxy.client()
      const { status, text } = await client.request(GET)
      assert.deepEqual([status, text], [502, '502 Bad Gateway\n'])
      await upstream.connections[0]?.untilEnded()
      const next = await client.request(GET)
      assert.deepEqual([next.status, next.attempts[0]?.reused], [200, false])
    })
  }

  test('in its chunks cuts the answer', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const nonsense = reply.raw('nonsense\r\n').after(5)
    upstream.answer(reply.raw(`${CHUNKED}3\r\nabc\r\n`).followedBy(nonsense))
    const exchange = await proxy.request(GET)
    assert.equal(exchange.raw.toString('latin1'), `${CHUNKED}3\r\nabc\r\n`)
    assert.equal(exchange.failure, 'ended')
    assert.equal(upstream.open, 0)
    assert.equal(exchange.error?.code, 'PGR_RESPONSE_BODY_INVALID')
  })

  test('is an early answer, when it comes before the request', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    const origin = await upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.end(reply(401, 'no', { headers: { Connection: 'close' } }).bytes)
    const { status, headers } = await client.exchange('POST')
    assert.deepEqual([status, headers.get('Connection')], [401, 'close'])
    client.send('hello')
    await client.peer.untilEnded()
    client.peer.end()
    await client.peer.untilClosed()
    assert.equal(client.peer.errorCode, '')
  })
})
