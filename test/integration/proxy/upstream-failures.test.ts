import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HttpPeer } from '../../../src/transport/index.js'
import { otherSocketsTurn } from '../../helpers/connection-pair.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import { fieldOf } from '../../helpers/raw-message.js'
import type { RawPeer } from '../../helpers/raw-peer.js'

const MIB = 1024 * 1024
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET /p?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'

describe('an upstream that cannot be reached', () => {
  test('is a 502 when it refuses, with a small body and a log line that says which and why', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    await proxy.upstream.close()
    const client = await proxy.client()
    client.send(GET)
    const answer = await client.response()
    assert.equal(answer.status, 502)
    assert.equal(answer.body, '502 Bad Gateway\n')
    assert.equal(fieldOf(answer, 'Content-Type'), 'text/plain; charset=utf-8')
    assert.ok(fieldOf(answer, 'Date') !== undefined)
    await proxy.untilLogged(1)
    const line = proxy.lines.find(({ level }) => level === 'error')
    assert.equal(line?.fields['code'], 'PGR_CONNECT_REFUSED')
    assert.equal(line.fields['peer'], proxy.upstream.address)
    assert.equal(line.fields['reason'], `connect ${proxy.upstream.address}: connection refused`)
    assert.equal(line.fields['request'], 'GET /p, Host: a')
    assert.equal(proxy.counters.errors('PGR_CONNECT_REFUSED'), 1)
    // The client's connection is none the worse for it.
    client.send(GET)
    assert.equal((await client.response()).status, 502)
  })

  test('is a 503 when there is no peer', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: { upstreamPeer: () => undefined } })
    const client = await proxy.client()
    client.send(GET)
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.body], [503, '503 Service Unavailable\n'])
    assert.equal(proxy.counters.get('attempts'), 0)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_NO_PEER')
  })

  test('is a 504 when connecting takes too long', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.network.silent.add(proxy.upstream.address)
    const client = await proxy.client()
    client.send(POST)
    await proxy.until(() => proxy.network.hanging === 1, 'a dial')
    proxy.pass(1_000)
    assert.equal((await client.response()).status, 504)
    assert.equal(proxy.network.hanging, 0)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_CONNECT_TIMEOUT')
  })

  test('is a 502 when its name cannot be resolved', async (t) => {
    const upstreamPeer = (): HttpPeer => new HttpPeer('no-such-host.invalid:80')
    const proxy = await ProxyUnderTest.start(t, { hooks: { upstreamPeer } })
    proxy.network.resolve = () => Promise.reject(new Error('no such name'))
    const client = await proxy.client()
    client.send(GET)
    assert.ok((await client.response()).status >= 500)
  })
})

describe('an upstream that is silent', () => {
  for (const request of [GET, POST]) {
    test(`is a 504, and its connection is closed (${request.slice(0, 4)})`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(request)
      const origin = await proxy.upstream.next()
      await origin.request()
      proxy.pass(59_000)
      await otherSocketsTurn(t)
      assert.equal(client.text, '')
      proxy.pass(1_000)
      assert.equal((await client.response()).status, 504)
      await origin.untilEnded()
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_UPSTREAM_READ_TIMEOUT')
      assert.equal(proxy.upstream.peers.length, 1)
    })
  }

  test('in the middle of its head is a 504', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { peer: { readTimeoutMs: 5_000 } })
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send('HTTP/1.1 200 OK\r\nX')
    await proxy.until(() => proxy.network.dialled[0]?.bytesRead === 18, 'the bytes')
    proxy.pass(5_000)
    assert.equal((await client.response()).status, 504)
  })

  test('in the middle of its body cuts the answer', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await client.untilText('abc\r\n')
    proxy.pass(59_000)
    origin.send('3\r\ndef\r\n')
    await client.untilText('def\r\n')
    proxy.pass(59_000)
    await otherSocketsTurn(t)
    assert.equal(client.ended, false)
    proxy.pass(1_000)
    await client.untilEnded()
    assert.ok(client.text.endsWith('def\r\n'))
    await origin.untilEnded()
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_UPSTREAM_READ_TIMEOUT')
  })

  test('may stay silent while a slow client holds its answer up', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    client.keepsBytes = false
    client.socket.pause()
    const total = 16 * MIB
    origin.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    const sending = origin.sendAll(Buffer.alloc(total))
    const accepted = proxy.network.accepted[0]!
    await proxy.until(() => accepted.pendingBytes > 0, 'the client to hold the proxy up')
    proxy.pass(55_000)
    client.socket.resume()
    await client.until(() => client.bytes > 8 * MIB)
    client.socket.pause()
    await otherSocketsTurn(t)
    proxy.pass(55_000)
    client.socket.resume()
    await sending
    await proxy.untilLogged(1)
    assert.equal(proxy.logged[0]?.error, undefined)
  })

  test('that takes no bytes of a request is a 504', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    const total = 32 * MIB
    client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`)
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.keepsBytes = false
    origin.socket.pause()
    client.send(Buffer.alloc(total))
    const dialled = proxy.network.dialled[0]!
    await proxy.until(() => dialled.pendingBytes > 0, 'the upstream to hold the proxy up')
    await otherSocketsTurn(t)
    proxy.pass(60_000)
    await otherSocketsTurn(t)
    // Bytes that left in between count as progress once.
    proxy.pass(60_000)
    assert.equal((await client.response()).status, 504)
    await client.untilEnded()
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_UPSTREAM_WRITE_TIMEOUT')
    origin.socket.resume()
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
        const proxy = await ProxyUnderTest.start(t)
        const client = await proxy.client()
        client.send(POST)
        const origin = await proxy.upstream.next()
        await origin.request()
        origin.send(sends)
        const dialled = proxy.network.dialled[0]!
        await proxy.until(() => dialled.bytesRead === sends.length, 'the bytes to come')
        if (clientGets !== undefined) await client.untilText('abc')
        origin[how]()
        if (clientGets === undefined) {
          let answer = await client.response()
          if (answer.status < 200) answer = await client.response()
          assert.equal(answer.status, 502)
        } else {
          await client.untilEnded()
          assert.equal(client.text, clientGets)
        }
        await proxy.untilLogged(1)
        assert.equal(proxy.logged[0]?.error?.source, 'upstream')
        assert.equal(proxy.upstream.peers.length, 1)
      })
    }
  }

  const untilClose = 'HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabc'
  for (const version of ['1.0', '1.1']) {
    test(`with a reset in a body until close, to an HTTP/${version} client`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(untilClose)
      await client.untilText('abc')
      origin.reset()
      await client.untilEnded()
      // A FIN would make the body look complete to an HTTP/1.0 client.
      if (version === '1.0') assert.equal(client.errorCode, 'ECONNRESET')
      else assert.ok(client.text.endsWith('3\r\nabc\r\n'))
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
    })
  }

  test('in a chunked body to an HTTP/1.0 client, who gets a reset', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('GET / HTTP/1.0\r\n\r\n')
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send(`${CHUNKED}3\r\nabc\r\n`)
    await client.untilText('abc')
    origin.end()
    await client.untilClosed()
    assert.equal(client.errorCode, 'ECONNRESET')
  })
})

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
  ]
  for (const head of heads) {
    test(`is a 502: ${JSON.stringify(head.slice(0, 60))}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(head)
      let answer = await client.response()
      while (answer.status < 200) answer = await client.response()
      assert.deepEqual([answer.status, answer.body], [502, '502 Bad Gateway\n'])
      await origin.untilEnded()
      client.send(GET)
      const next = await proxy.upstream.next()
      next.send(OK)
      assert.equal((await client.response()).status, 200)
    })
  }

  test('in its chunks cuts the answer', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send(`${CHUNKED}3\r\nabc\r\n`)
    await client.untilText('abc\r\n')
    origin.send('nonsense\r\n')
    await client.untilEnded()
    assert.ok(client.text.endsWith('3\r\nabc\r\n'))
    await origin.untilEnded()
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_RESPONSE_BODY_INVALID')
  })

  test('is an early answer, when it comes before the request', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.send('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno')
    origin.end()
    const answer = await client.response()
    assert.deepEqual([answer.status, fieldOf(answer, 'Connection')], [401, 'close'])
    client.send('hello')
    await client.untilEnded()
    await closes(client)
    assert.equal(client.errorCode, '')
  })
})

async function closes(client: RawPeer): Promise<void> {
  client.end()
  await client.untilClosed()
}
