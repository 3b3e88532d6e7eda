import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ProxyHttp } from '../../src/proxy/index.js'
import { reply } from '../../src/testing/index.js'
import type { Exchange, TestClient } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { NOWHERE, UPSTREAM, logLines, testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld, ProxySetup } from '../helpers/test-world.js'

const OK = reply(200, 'ok')

/** A proxy and a client of it; the pool holds the connection that has served its first request. */
async function warm(
  t: TestContext,
  setup: ProxySetup = {},
): Promise<ProxyInWorld & { readonly client: TestClient }> {
  const running = await testProxy(t, setup)
  running.upstream.answerNext(OK)
  const client = await running.proxy.client()
  assert.equal((await client.get('/first')).status, 200)
  return { ...running, client }
}

/** What a request whose reused connection the upstream closes becomes. */
interface ReuseCase {
  readonly name: string
  /** As the client sends it and, when it is sent again, each of both upstream connections gets it. */
  readonly request: string
  readonly isSentAgain: boolean
}

const CHUNKED = 'Host: a\r\nTransfer-Encoding: chunked\r\n\r\n'

const REUSE_CASES: readonly ReuseCase[] = [
  { name: 'a GET is sent again', request: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', isSentAgain: true },
  {
    name: 'a HEAD is sent again',
    request: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    isSentAgain: true,
  },
  {
    name: 'a PUT is sent again with its body',
    request: 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    isSentAgain: true,
  },
  {
    name: 'a chunked PUT is sent again with its trailers',
    request: `PUT / HTTP/1.1\r\n${CHUNKED}2\r\nab\r\n3\r\ncde\r\n0\r\nX-T: 1\r\n\r\n`,
    isSentAgain: true,
  },
  {
    name: 'a chunked DELETE without data is sent again and ends',
    request: `DELETE / HTTP/1.1\r\n${CHUNKED}0\r\n\r\n`,
    isSentAgain: true,
  },
  {
    name: 'a POST is not',
    request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
    isSentAgain: false,
  },
  {
    name: 'a POST without a body is not',
    request: 'POST / HTTP/1.1\r\nHost: a\r\n\r\n',
    isSentAgain: false,
  },
  {
    name: 'an unknown method is not',
    request: 'FROB / HTTP/1.1\r\nHost: a\r\n\r\n',
    isSentAgain: false,
  },
]

describe('when the upstream closes a reused connection on a request', () => {
  for (const { name, request, isSentAgain } of REUSE_CASES) {
    for (const [how, code] of [
      ['close', 'PGR_UPSTREAM_CLOSED'],
      ['reset', 'PGR_UPSTREAM_READ_FAILED'],
    ] as const) {
      test(`${name} (${how})`, async (t) => {
        const { client, upstream } = await warm(t)
        upstream.answerNext(reply[how](), OK)
        const exchange = await client.request({ raw: request })
        assert.equal(exchange.status, isSentAgain ? 200 : 502)
        assert.equal(exchange.error?.code, isSentAgain ? undefined : code)
        const expected = [`reused ${code}`, ...(isSentAgain ? ['new ok'] : [])]
        assert.deepEqual(attemptsOf(exchange), expected)
        assert.equal(exchange.counters['retries'], isSentAgain ? 1 : undefined)
        assert.ok(upstream.received(0).toString('latin1').endsWith(`\r\n\r\n${request}`))
        assert.equal(upstream.connections.length, isSentAgain ? 2 : 1)
        assert.equal(upstream.received(1).toString('latin1'), isSentAgain ? request : '')
      })
    }
  }

  test('the connection of the second attempt serves further requests', async (t) => {
    const { client, upstream } = await warm(t)
    upstream.answerNext(reply.close(), OK, OK)
    assert.deepEqual(attemptsOf(await client.get('/')), ['reused PGR_UPSTREAM_CLOSED', 'new ok'])
    assert.deepEqual(attemptsOf(await client.get('/')), ['reused ok'])
    assert.equal(upstream.connections.length, 2)
  })

  test('a client that leaves during the second attempt is noticed', async (t) => {
    const { client, upstream, proxy } = await warm(t)
    upstream.answerNext(reply.close(), () => {
      client.peer.end()
    })
    await client.request()
    await upstream.connections[1]?.untilEnded()
    assert.equal(proxy.sessions[1]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
  })

  test('nothing is sent again once a byte of the answer has come', async (t) => {
    const { client, upstream } = await warm(t)
    upstream.answerNext(OK.cutAfter(1, 'end'))
    const exchange = await client.get('/')
    assert.equal(exchange.status, 502)
    assert.equal(upstream.requests.length, 2)
    assert.equal(upstream.connections.length, 1)
  })

  test('a new connection that is closed is not tried again', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply.close())
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 502)
    assert.equal(exchange.error?.code, 'PGR_UPSTREAM_CLOSED')
    assert.equal(upstream.connections.length, 1)
  })

  test('a body that ends after the second attempt began follows live', async (t) => {
    const { client, upstream } = await warm(t)
    upstream.answerNext(OK)
    const exchange = client.request({
      method: 'PUT',
      headers: { 'Content-Length': '6' },
      body: ['abc', 'def'],
      everyMs: 100,
    })
    const [first] = upstream.connections
    await first?.untilText('\r\n\r\nabc')
    first?.end()
    const { status, attempts, error } = await exchange
    assert.deepEqual([status, error, attempts.length], [200, undefined, 2])
    assert.equal(upstream.requests[1]?.text, 'abcdef')
    assert.ok(!upstream.received(0).includes('def'))
  })
})

describe('the retry buffer', () => {
  for (const extra of [0, 1]) {
    const limit = 65_536
    test(`lets a body of ${limit + extra} bytes be ${extra === 0 ? 'sent again' : 'sent once'}`, async (t) => {
      const { client, upstream } = await warm(t)
      upstream.answerNext(reply.close(), OK)
      const body = 'x'.repeat(limit + extra)
      const { status } = await client.request({ method: 'PUT', body })
      assert.equal(status, extra === 0 ? 200 : 502)
      const bodies = upstream.requests.slice(1).map((request) => request.text)
      assert.deepEqual(bodies, extra === 0 ? [body, body] : [body])
    })
  }

  test('keeps what the client sent, not what the filter made of it', async (t) => {
    const seen: (string | undefined)[] = []
    const { client, upstream } = await warm(t, {
      hooks: {
        requestBodyFilter: (_session, body) => {
          seen.push(body?.toString())
          return body && Buffer.from(body.toString().toUpperCase())
        },
      },
    })
    upstream.answerNext(reply.close(), OK)
    await client.request({ method: 'PUT', body: 'abc' })
    const texts = upstream.requests.slice(1).map((request) => request.text)
    assert.deepEqual(texts, ['ABC', 'ABC'])
    assert.deepEqual(seen, [undefined, 'abc', undefined, 'abc', undefined])
  })
})

describe('the number of attempts', () => {
  const retryAlways: Partial<ProxyHttp<unknown>> = {
    failToConnect: (_session, _peer, error) => {
      error.retry = 'yes'
    },
    errorWhileProxy: (_session, _peer, error) => {
      error.retry = 'yes'
    },
  }

  test('is limited by max_retries, which counts the first one', async (t) => {
    const { proxy, upstream } = await testProxy(t, { conf: { maxRetries: 3 }, hooks: retryAlways })
    upstream.down()
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 502)
    const refused = 'new PGR_CONNECT_REFUSED'
    assert.deepEqual(attemptsOf(exchange), [refused, refused, refused])
    assert.deepEqual([exchange.counters['attempts'], exchange.counters['retries']], [3, 2])
  })

  test('is one when failToConnect does not ask', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.down()
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 502)
    assert.deepEqual(attemptsOf(exchange), ['new PGR_CONNECT_REFUSED'])
  })

  test('lets a failed connect, also of a POST, go to another backend', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        ...retryAlways,
        upstreamPeer: ({ attempts }) => new HttpPeer(attempts.length === 0 ? NOWHERE : UPSTREAM),
      },
    })
    upstream.answer(OK)
    const exchange = await proxy.request({ method: 'POST', body: 'abc' })
    assert.equal(exchange.status, 200)
    assert.equal(upstream.requests[0]?.text, 'abc')
    const tried = exchange.attempts.map(({ peer, code }) => [peer, code])
    assert.deepEqual(tried, [
      [NOWHERE, 'PGR_CONNECT_REFUSED'],
      [UPSTREAM, undefined],
    ])
    assert.deepEqual(logLines(exchange.logs), ['warn retrying'])
  })

  test('lets errorWhileProxy ask for another one, a POST included', async (t) => {
    const { proxy, upstream } = await testProxy(t, { hooks: retryAlways })
    upstream.answerNext(reply.close(), OK)
    const exchange = await proxy.request({ method: 'POST', body: 'abc' })
    assert.equal(exchange.status, 200)
    assert.deepEqual(attemptsOf(exchange), ['new PGR_UPSTREAM_CLOSED', 'new ok'])
    assert.equal(upstream.requests[1]?.text, 'abc')
  })

  test('is one once the head was sent to the client, whatever errorWhileProxy says', async (t) => {
    const { proxy, upstream } = await testProxy(t, { hooks: retryAlways })
    const five = reply(200, 'abcde')
    upstream.answer(five.cutAfter(five.bytes.length - 3, 'end'))
    const exchange = await proxy.get('/')
    assert.deepEqual([exchange.text, exchange.failure], ['ab', 'ended'])
    assert.equal(upstream.connections.length, 1)
    assert.equal(exchange.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
  })

  test('does not grow for a client that has left', async (t) => {
    const { proxy, upstream } = await testProxy(t, { hooks: retryAlways })
    const client = await proxy.client()
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const origin = await upstream.next()
    await origin.request()
    await client.close()
    await origin.untilEnded()
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
    assert.equal(upstream.connections.length, 1)
  })

  test('ends with the failure that made it look elsewhere when there is no other peer', async (t) => {
    const { proxy } = await testProxy(t, {
      hooks: {
        ...retryAlways,
        upstreamPeer: ({ attempts }) => (attempts.length === 0 ? new HttpPeer(NOWHERE) : undefined),
      },
    })
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 502)
    assert.equal(exchange.error?.code, 'PGR_CONNECT_REFUSED')
  })
})

/** Each attempt as `new` or `reused`, and what became of it: `ok` or a code. */
function attemptsOf({ attempts }: Exchange): string[] {
  return attempts.map(
    ({ reused, code, outcome }) => `${reused ? 'reused' : 'new'} ${code ?? outcome}`,
  )
}
