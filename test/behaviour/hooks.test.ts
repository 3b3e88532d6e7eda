import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../../src/http/index.js'
import { httpProxyService } from '../../src/proxy/index.js'
import type { ProxyHttp, Session } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import { reply } from '../../src/testing/index.js'
import type { TestRequest } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { ASYNC_HOOKS, HOOK_NAMES, allHooks } from '../helpers/all-hooks.js'
import type { HookActions, HookName, Timing } from '../helpers/all-hooks.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
const PUT: TestRequest = { method: 'PUT', body: 'abc' }
const TIMINGS: readonly Timing[] = ['sync', 'microtask', 'later']

/** A proxy with all hooks. */
function hooked(
  t: TestContext,
  actions: HookActions = {},
  timing?: (name: HookName) => Timing,
): Promise<ProxyInWorld> {
  return testProxy(t, { hooks: (world) => allHooks(world, actions, timing) })
}

/** The calls for a request that is over but for what its hooks still do: names, with their facts. */
async function callsOf(
  { world, proxy }: Pick<ProxyInWorld, 'world' | 'proxy'>,
  index = 0,
): Promise<string[]> {
  await world.advance(10)
  const calls = proxy.sessions[index]?.calls ?? []
  return calls.map(({ name, detail }) => (detail === undefined ? name : `${name} ${detail}`))
}

describe('the hooks run in their order', () => {
  for (const timing of TIMINGS) {
    test(`for a request with a body (${timing})`, async (t) => {
      const { world, proxy, upstream } = await hooked(t, {}, () => timing)
      upstream.answer(OK)
      const client = await proxy.client()
      const { text, tookMs } = await client.request(PUT)
      assert.equal(text, 'ok')
      // Nine hooks one after another, for the upstream answers while the end of the body is filtered.
      assert.equal(tookMs, timing === 'later' ? 9 : 0)
      assert.deepEqual(await callsOf({ world, proxy }), [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'connectedToUpstream new',
        'upstreamRequestFilter',
        'requestBodyFilter 3 bytes',
        'requestBodyFilter end',
        'upstreamResponseFilter 200',
        'responseFilter 200',
        'responseBodyFilter 2 bytes',
        'responseBodyFilter end',
        'logging',
      ])
    })

    test(`for interim responses and an answer without a body (${timing})`, async (t) => {
      const { world, proxy, upstream } = await hooked(t, {}, () => timing)
      upstream.answer(reply.interim(103).followedBy(reply(204)))
      const client = await proxy.client()
      const { status, interim } = await client.get('/')
      assert.deepEqual([interim.map((response) => response.status), status], [[103], 204])
      assert.deepEqual((await callsOf({ world, proxy })).slice(6), [
        'requestBodyFilter end',
        'upstreamResponseFilter 103',
        'responseFilter 103',
        'upstreamResponseFilter 204',
        'responseFilter 204',
        'responseBodyFilter end',
        'logging',
      ])
    })

    test(`for an own answer (${timing})`, async (t) => {
      const requestFilter = (session: Session): 'responded' => {
        session.respond(200, { body: 'mine', headers: { 'X-Own': '1' } })
        return 'responded'
      }
      const { world, proxy } = await hooked(t, { requestFilter }, () => timing)
      const client = await proxy.client()
      const exchanges = await Promise.all([client.get('/'), client.get('/')])
      for (const [index, { text, headers }] of exchanges.entries()) {
        assert.deepEqual([text, headers.get('X-Own')], ['mine', '1'])
        assert.ok(headers.has('Date'))
        const expected = ['newCtx', 'earlyRequestFilter', 'requestFilter', 'logging']
        assert.deepEqual(await callsOf({ world, proxy }, index), expected)
      }
    })

    test(`for a connect that fails (${timing})`, async (t) => {
      const { world, proxy, upstream } = await hooked(t, {}, () => timing)
      upstream.down()
      assert.equal((await proxy.get('/')).status, 502)
      assert.deepEqual(await callsOf({ world, proxy }), [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'failToConnect PGR_CONNECT_REFUSED',
        'suppressErrorLog PGR_CONNECT_REFUSED',
        'requestSummary',
        'failToProxy PGR_CONNECT_REFUSED',
        'logging PGR_CONNECT_REFUSED',
      ])
    })

    test(`for a retry on a reused connection (${timing})`, async (t) => {
      const { world, proxy, upstream } = await hooked(t, {}, () => timing)
      upstream.answerNext(OK, reply.close(), OK)
      const client = await proxy.client()
      await client.get('/')
      await world.advance(10)
      assert.equal((await client.request(PUT)).status, 200)
      const attempt = [
        'upstreamRequestFilter',
        'requestBodyFilter 3 bytes',
        'requestBodyFilter end',
      ]
      assert.deepEqual(await callsOf({ world, proxy }, 1), [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'connectedToUpstream reused',
        ...attempt,
        'errorWhileProxy PGR_UPSTREAM_CLOSED',
        'upstreamPeer',
        'connectedToUpstream new',
        ...attempt,
        'upstreamResponseFilter 200',
        'responseFilter 200',
        'responseBodyFilter 2 bytes',
        'responseBodyFilter end',
        'logging',
      ])
    })

    test(`for a client that leaves (${timing})`, async (t) => {
      const { world, proxy, upstream } = await hooked(t, {}, () => timing)
      upstream.answer(reply.never())
      const client = await proxy.client()
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await world.until(() => upstream.requests.length === 1, 'the request', 10)
      client.peer.end()
      assert.deepEqual((await callsOf({ world, proxy })).slice(6), [
        'requestBodyFilter end',
        'errorWhileProxy PGR_DOWNSTREAM_CLOSED',
        'suppressErrorLog PGR_DOWNSTREAM_CLOSED',
        'requestSummary',
        'logging PGR_DOWNSTREAM_CLOSED',
      ])
      assert.equal(upstream.open, 0)
    })

    test(`and change what passes in the same way (${timing})`, async (t) => {
      const { proxy, upstream } = await hooked(t, CHANGES, () => timing)
      const { peer: client } = await proxy.client()
      client.send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab')
      const origin = await upstream.next(10)
      await origin.untilText('AB', 10)
      client.send('cdef')
      const request = await origin.request(10)
      assert.equal(request.startLine, 'POST /y HTTP/1.1')
      assert.equal(request.text, 'ABCDEF!')
      assert.deepEqual(request.lines, ['Host: b', 'X-Early: 1', 'Transfer-Encoding: chunked'])
      origin.send('HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 6\r\n\r\nab')
      await client.untilText('ab', 10)
      origin.send('cdef')
      const answer = await client.response('POST', 10)
      assert.equal(answer.text, '<ab><cdef>.')
      assert.deepEqual(answer.lines, [
        'Date: x',
        'X-Up: 1',
        'X-Down: 2',
        'Transfer-Encoding: chunked',
      ])
      assert.equal(answer.startLine, 'HTTP/1.1 201 Made')
    })
  }

  for (const slow of ASYNC_HOOKS) {
    test(`with the same bytes when only ${slow} takes its time`, async (t) => {
      const { proxy, upstream } = await hooked(t, {}, (name) => (name === slow ? 'later' : 'sync'))
      // Later than the filter of the end, or it would be an early answer, which costs the connection.
      upstream.answer((request) => reply(200, request.body).after(2))
      const client = await proxy.client()
      const exchanges = await Promise.all([client.request(PUT), client.request(PUT)])
      assert.deepEqual(
        exchanges.map(({ text }) => text),
        ['abc', 'abc'],
      )
      assert.equal(upstream.connections.length, 1)
    })
  }

  test('and the body passes whole through asynchronous filters, piece by piece', async (t) => {
    const later = (name: HookName): Timing => (name.includes('Body') ? 'later' : 'sync')
    const { proxy, upstream } = await hooked(t, {}, later)
    upstream.answer((request) => reply(200, request.body))
    const body = Buffer.alloc(3_000_000, 'pingora')
    const exchange = await proxy.request({ method: 'POST', body })
    assert.ok(exchange.body.equals(body))
    const pieces = exchange.hooks.filter(({ name }) => name === 'requestBodyFilter')
    assert.ok(pieces.length > 40)
  })
})

const text = (body: Buffer | undefined): string => body?.toString('latin1') ?? ''

/** Each of these changes something that the other side sees. */
const CHANGES: HookActions = {
  earlyRequestFilter: (session: Session) => session.reqHeader.insertHeader('X-Early', '1'),
  upstreamRequestFilter: (_session: Session, request: RequestHeader) => {
    request.target = '/y'
    request.insertHeader('Host', 'b')
    request.removeHeader('Content-Length')
  },
  requestBodyFilter: (_session: Session, body: Buffer | undefined) =>
    Buffer.from(body === undefined ? '!' : text(body).toUpperCase()),
  upstreamResponseFilter: (_session: Session, response: ResponseHeader) => {
    response.insertHeader('X-Up', '1')
  },
  responseFilter: (_session: Session, response: ResponseHeader) => {
    response.insertHeader('X-Down', '2')
    response.removeHeader('Content-Length')
    response.status = 201
    response.reason = 'Made'
  },
  responseBodyFilter: (_session: Session, body: Buffer | undefined) =>
    Buffer.from(body === undefined ? '.' : `<${text(body)}>`),
}

describe('a body filter', () => {
  test('may drop pieces, and keep what it likes for the end', async (t) => {
    const pieces: Buffer[] = []
    const { proxy, upstream } = await hooked(t, {
      responseFilter: (_session: Session, response: ResponseHeader) => {
        response.removeHeader('Content-Length')
      },
      responseBodyFilter: (_session: Session, body: Buffer | undefined) => {
        if (body === undefined) return Buffer.concat(pieces)
        pieces.push(Buffer.from(body))
        return null
      },
    })
    upstream.answer(OK)
    assert.equal((await proxy.get('/')).text, 'ok')
    assert.deepEqual(pieces.map(String), ['ok'])
  })

  const lengths: readonly [string, (body: Buffer | undefined) => Buffer | null | undefined][] = [
    ['shorter', (body) => (body === undefined ? undefined : null)],
    ['longer', (body) => (body === undefined ? Buffer.from('more') : undefined)],
    ['longer at once', (body) => body && Buffer.concat([body, body])],
  ]
  for (const [how, change] of lengths) {
    for (const timing of TIMINGS) {
      test(`that makes a response body ${how} than its length never ends cleanly (${timing})`, async (t) => {
        const responseBodyFilter = (_session: Session, body: Buffer | undefined): unknown =>
          change(body)
        const { proxy, upstream } = await hooked(t, { responseBodyFilter }, () => timing)
        upstream.answer(OK)
        const client = await proxy.client()
        const exchange = await client.get('/')
        // Only one that is longer can have been taken for whole, and nothing follows it.
        assert.ok('ok'.startsWith(exchange.text))
        if (how === 'shorter') assert.deepEqual([exchange.complete, exchange.text], [false, ''])
        await client.peer.untilEnded(10)
        assert.equal(client.peer.bytes, exchange.raw.length)
        assert.equal(proxy.sessions[0]?.error?.code, 'PGR_BODY_LENGTH_MISMATCH')
        assert.equal(upstream.open, 0)
      })

      test(`that makes a request body ${how} than its length is a 500 (${timing})`, async (t) => {
        const requestBodyFilter = (_session: Session, body: Buffer | undefined): unknown =>
          change(body)
        const { proxy, upstream } = await hooked(t, { requestBodyFilter }, () => timing)
        const { status, error } = await proxy.request(PUT)
        assert.deepEqual([status, error?.code], [500, 'PGR_BODY_LENGTH_MISMATCH'])
        const ended = upstream.connections.map((origin) => origin.ended)
        assert.deepEqual(ended, [true])
      })
    }
  }
})

describe('the trailer filter', () => {
  const TRAILING = reply(200, 'ok', { trailers: { 'X-Sum': '1', 'X-Gone': '2' } })
  const ASKING: TestRequest = { headers: { TE: 'trailers', Connection: 'TE' } }

  for (const timing of TIMINGS) {
    test(`runs after the end of the body, and changes trailers (${timing})`, async (t) => {
      const responseTrailerFilter = (_session: Session, trailers: HeaderMap): void => {
        trailers.remove('X-Gone')
        trailers.set('X-New', '3')
      }
      const { proxy, upstream, world } = await hooked(t, { responseTrailerFilter }, () => timing)
      upstream.answer(TRAILING)
      const { text, trailers, complete } = await proxy.request(ASKING)
      assert.deepEqual([text, complete], ['ok', true])
      assert.deepEqual(trailers.entries, [
        ['X-Sum', '1'],
        ['X-New', '3'],
      ])
      const calls = await callsOf({ world, proxy })
      assert.deepEqual(calls.slice(-3), [
        'responseBodyFilter end',
        'responseTrailerFilter',
        'logging',
      ])
    })

    test(`may send bytes in their place (${timing})`, async (t) => {
      const responseTrailerFilter = (_session: Session, trailers: HeaderMap): Uint8Array =>
        new TextEncoder().encode(`, sum ${trailers.get('X-Sum') ?? ''}`)
      const { proxy, upstream } = await hooked(t, { responseTrailerFilter }, () => timing)
      upstream.answer(TRAILING)
      const { text, trailers, complete } = await proxy.request(ASKING)
      assert.deepEqual([text, trailers.entries, complete], ['ok, sum 1', [], true])
    })

    test(`cuts the response when it throws (${timing})`, async (t) => {
      const responseTrailerFilter = (): never => {
        throw new Error('no')
      }
      const { proxy, upstream } = await hooked(t, { responseTrailerFilter }, () => timing)
      upstream.answer(TRAILING)
      const { complete, error } = await proxy.request(ASKING)
      assert.deepEqual([complete, error?.code], [false, 'PGR_HOOK_FAILED'])
    })
  }
})

describe('a proxy is refused when it is built', () => {
  const upstreamPeer = (): HttpPeer => new HttpPeer('127.0.0.1:1')
  const build = (hooks: object): unknown =>
    httpProxyService(new ServerConf(), { newCtx: () => 0, upstreamPeer, ...hooks })
  const notYet = [
    'requestCacheFilter',
    'cacheKeyCallback',
    'proxyUpstreamFilter',
    'upstreamResponseBodyFilter',
    'upstreamResponseTrailerFilter',
    'responseCacheFilter',
    'shouldServeStale',
  ]
  for (const name of notYet) {
    test(`with the hook ${name}, which is not available yet`, () => {
      assert.throws(() => build({ [name]: () => undefined }), {
        code: 'PGR_NOT_AVAILABLE',
        message: `the hook ${name} is not available yet`,
      })
    })
  }

  for (const [hooks, message] of [
    [{ upstreamPeer: undefined }, /upstreamPeer is missing/],
    [{ newCtx: undefined }, /newCtx is missing/],
    [{ logging: 'console' }, /logging is not a function/],
  ] as const) {
    test(`because ${message.source}`, () => {
      assert.throws(() => build(hooks), { code: 'PGR_OPTION_INVALID', message })
    })
  }

  test('but not for hooks of a class, which see their own fields', () => {
    class Proxy implements ProxyHttp<void> {
      readonly #address = '127.0.0.1:1'
      newCtx(): void {}
      upstreamPeer(): HttpPeer {
        return new HttpPeer(this.#address)
      }
    }
    assert.ok(httpProxyService(new ServerConf(), new Proxy()))
    assert.equal(HOOK_NAMES.length, 17)
  })
})
