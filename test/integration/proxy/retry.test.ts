import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ProxyHttp } from '../../../src/proxy/index.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import type { ProxyUnderTestOptions } from '../../helpers/proxy-under-test.js'
import type { RawPeer } from '../../helpers/raw-peer.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

interface Warm {
  readonly proxy: ProxyUnderTest
  readonly client: RawPeer
  /** The upstream connection in the pool. */
  readonly origin: RawPeer
}

/** A client and a pooled upstream connection that has served one request. */
async function warm(t: TestContext, settings: ProxyUnderTestOptions = {}): Promise<Warm> {
  const proxy = await ProxyUnderTest.start(t, settings)
  const client = await proxy.client()
  client.send(GET)
  const origin = await proxy.upstream.next()
  await origin.request()
  origin.send(OK)
  await client.response()
  await proxy.untilLogged(1)
  return { proxy, client, origin }
}

/** What a request whose reused connection the upstream closes becomes. */
interface ReuseCase {
  readonly name: string
  readonly request: string
  /** What the second upstream connection gets; absent: there is none, and the client gets a 502. */
  readonly again?: string
}

const CHUNKED = 'Host: a\r\nTransfer-Encoding: chunked\r\n\r\n'

const REUSE_CASES: readonly ReuseCase[] = [
  { name: 'a GET is sent again', request: GET, again: GET },
  {
    name: 'a HEAD is sent again',
    request: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    again: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
  },
  {
    name: 'a PUT is sent again with its body',
    request: 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    again: 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  },
  {
    name: 'a chunked PUT is sent again with its trailers',
    request: `PUT / HTTP/1.1\r\n${CHUNKED}2\r\nab\r\n3\r\ncde\r\n0\r\nX-T: 1\r\n\r\n`,
    again: `PUT / HTTP/1.1\r\n${CHUNKED}2\r\nab\r\n3\r\ncde\r\n0\r\nX-T: 1\r\n\r\n`,
  },
  {
    name: 'a chunked DELETE without data is sent again and ends',
    request: `DELETE / HTTP/1.1\r\n${CHUNKED}0\r\n\r\n`,
    again: `DELETE / HTTP/1.1\r\n${CHUNKED}0\r\n\r\n`,
  },
  { name: 'a POST is not', request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi' },
  { name: 'a POST without a body is not', request: 'POST / HTTP/1.1\r\nHost: a\r\n\r\n' },
  { name: 'an unknown method is not', request: 'FROB / HTTP/1.1\r\nHost: a\r\n\r\n' },
]

describe('when the upstream closes a reused connection on a request', () => {
  for (const { name, request, again } of REUSE_CASES) {
    for (const how of ['end', 'reset'] as const) {
      test(`${name} (${how})`, async (t) => {
        const { proxy, client, origin } = await warm(t)
        client.send(request)
        await origin.request()
        origin[how]()
        if (again === undefined) {
          assert.equal((await client.response()).status, 502)
        } else {
          const second = await proxy.upstream.next()
          await second.untilText(again)
          assert.equal(second.text, again)
          second.send(OK)
          const method = request.split(' ')[0]
          assert.equal((await client.response(method)).status, 200)
        }
        await proxy.untilLogged(2)
        assert.equal(proxy.upstream.peers.length, again === undefined ? 1 : 2)
        assert.equal(proxy.counters.get('retries'), again === undefined ? 0 : 1)
        assert.equal(proxy.logged[1]?.session.attempts[0]?.reused, true)
        assert.equal(proxy.logged[1].error === undefined, again !== undefined)
      })
    }
  }

  test('the connection of the second attempt serves further requests', async (t) => {
    const { proxy, client, origin } = await warm(t)
    client.send(GET)
    await origin.request()
    origin.end()
    const second = await proxy.upstream.next()
    await second.request()
    second.send(OK)
    await client.response()
    client.send(GET)
    await second.request()
    second.send(OK)
    await client.response()
    assert.equal(proxy.upstream.peers.length, 2)
  })

  test('a client that leaves during the second attempt is noticed', async (t) => {
    const { proxy, client, origin } = await warm(t)
    client.send(GET)
    await origin.request()
    origin.end()
    const second = await proxy.upstream.next()
    await second.request()
    client.end()
    await second.untilEnded()
    await proxy.untilLogged(2)
    assert.equal(proxy.logged[1]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
  })

  test('nothing is sent again once a byte of the answer has come', async (t) => {
    const { proxy, client, origin } = await warm(t)
    client.send(GET)
    await origin.request()
    origin.end('HTTP/1.1 2')
    assert.equal((await client.response()).status, 502)
    assert.equal(proxy.upstream.peers.length, 1)
  })

  test('a new connection that is closed is not tried again', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.end()
    assert.equal((await client.response()).status, 502)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_UPSTREAM_CLOSED')
    assert.equal(proxy.upstream.peers.length, 1)
  })

  test('a body that ends after the second attempt began follows live', async (t) => {
    const { proxy, client, origin } = await warm(t)
    client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc')
    await origin.untilText('\r\n\r\nabc')
    origin.end()
    const second = await proxy.upstream.next()
    await second.untilText('\r\n\r\nabc')
    client.send('def')
    assert.equal((await second.request()).body, 'abcdef')
    second.send(OK)
    assert.equal((await client.response()).status, 200)
    assert.equal(proxy.logged[0]?.error, undefined)
  })
})

describe('the retry buffer', () => {
  for (const extra of [0, 1]) {
    const limit = 65_536
    test(`lets a body of ${limit + extra} bytes be ${extra === 0 ? 'sent again' : 'sent once'}`, async (t) => {
      const { proxy, client, origin } = await warm(t)
      const body = 'x'.repeat(limit + extra)
      client.send(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      await origin.request()
      origin.end()
      if (extra === 1) {
        assert.equal((await client.response()).status, 502)
        return
      }
      const second = await proxy.upstream.next()
      assert.equal((await second.request()).body, body)
      second.send(OK)
      assert.equal((await client.response()).status, 200)
    })
  }

  test('keeps what the client sent, not what the filter made of it', async (t) => {
    const seen: (string | undefined)[] = []
    const { proxy, client, origin } = await warm(t, {
      hooks: {
        requestBodyFilter: (_session, body) => {
          seen.push(body?.toString())
          return body && Buffer.from(body.toString().toUpperCase())
        },
      },
    })
    client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
    assert.equal((await origin.request()).startLine.startsWith('PUT'), true)
    origin.end()
    const second = await proxy.upstream.next()
    assert.equal((await second.request()).body, 'ABC')
    second.send(OK)
    await client.response()
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
    const proxy = await ProxyUnderTest.start(t, { conf: { maxRetries: 3 }, hooks: retryAlways })
    await proxy.upstream.close()
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).status, 502)
    assert.equal(proxy.logged[0]?.session.attempts.length, 3)
    assert.deepEqual([proxy.counters.get('attempts'), proxy.counters.get('retries')], [3, 2])
  })

  test('is one when failToConnect does not ask', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    await proxy.upstream.close()
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).status, 502)
    assert.equal(proxy.logged[0]?.session.attempts.length, 1)
  })

  test('lets a failed connect, also of a POST, go to another backend', async (t) => {
    const proxy: ProxyUnderTest = await ProxyUnderTest.start(t, {
      hooks: {
        ...retryAlways,
        upstreamPeer: (session) =>
          proxy.peer(session.attempts.length === 0 ? '127.0.0.1:1' : undefined),
      },
    })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
    assert.equal((await client.response()).status, 200)
    assert.equal(proxy.upstream.requests[0]?.body, 'abc')
    const { attempts } = proxy.logged[0]!.session
    assert.deepEqual(
      attempts.map(({ error }) => error?.code),
      ['PGR_CONNECT_REFUSED', undefined],
    )
    assert.deepEqual(proxy.messages('warn'), ['retrying'])
    assert.deepEqual(proxy.messages('error'), [])
  })

  test('lets errorWhileProxy ask for another one, a POST included', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: retryAlways })
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
    const first = await proxy.upstream.next()
    await first.request()
    first.end()
    const second = await proxy.upstream.next()
    assert.equal((await second.request()).body, 'abc')
    second.send(OK)
    assert.equal((await client.response()).status, 200)
  })

  test('is one once the head was sent to the client, whatever errorWhileProxy says', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: retryAlways })
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab')
    await client.untilText('ab')
    origin.end()
    await client.untilEnded()
    await proxy.untilLogged(1)
    assert.equal(proxy.upstream.peers.length, 1)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
  })

  test('does not grow for a client that has left', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: retryAlways })
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    client.destroy()
    await origin.untilEnded()
    await proxy.untilLogged(1)
    assert.equal(proxy.upstream.peers.length, 1)
  })

  test('ends with the failure that made it look elsewhere when there is no other peer', async (t) => {
    const proxy: ProxyUnderTest = await ProxyUnderTest.start(t, {
      hooks: {
        ...retryAlways,
        upstreamPeer: (session) =>
          session.attempts.length === 0 ? proxy.peer('127.0.0.1:1') : undefined,
      },
    })
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).status, 502)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_CONNECT_REFUSED')
  })
})
