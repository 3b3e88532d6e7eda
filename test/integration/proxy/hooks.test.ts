import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { httpProxyService } from '../../../src/proxy/index.js'
import type { ProxyHttp, Session } from '../../../src/proxy/index.js'
import { ServerConf } from '../../../src/server/index.js'
import { HttpPeer } from '../../../src/transport/index.js'
import type { RequestHeader, ResponseHeader } from '../../../src/http/index.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import { fieldOf } from '../../helpers/raw-message.js'
import { ASYNC_HOOKS, HOOK_NAMES, recordedHooks } from '../../helpers/recorded-hooks.js'
import type { HookActions, HookName, Timing } from '../../helpers/recorded-hooks.js'

const OK = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const PUT = 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'

interface Recorded {
  readonly proxy: ProxyUnderTest
  readonly calls: string[]
}

async function recorded(
  t: TestContext,
  actions: HookActions = {},
  timing?: (name: HookName) => Timing,
): Promise<Recorded> {
  const calls: string[] = []
  const peer = (): HttpPeer => proxy.peer()
  const hooks = recordedHooks(calls, peer, actions, timing)
  const proxy = await ProxyUnderTest.start(t, { hooks })
  return { proxy, calls }
}

const TIMINGS: readonly Timing[] = ['sync', 'microtask', 'turn']

describe('the hooks run in their order', () => {
  for (const timing of TIMINGS) {
    test(`for a request with a body (${timing})`, async (t) => {
      const { proxy, calls } = await recorded(t, {}, () => timing)
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      client.send(PUT)
      assert.equal((await client.response()).body, 'ok')
      await proxy.untilLogged(1)
      assert.deepEqual(calls, [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'connectedToUpstream new',
        'upstreamRequestFilter',
        'requestBodyFilter abc',
        'requestBodyFilter end',
        'upstreamResponseFilter 200',
        'responseFilter 200',
        'responseBodyFilter ok',
        'responseBodyFilter end',
        'logging ok',
      ])
    })

    test(`for interim responses and an answer without a body (${timing})`, async (t) => {
      const { proxy, calls } = await recorded(t, {}, () => timing)
      proxy.upstream.answer('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n')
      const client = await proxy.client()
      client.send(GET)
      assert.equal((await client.response()).status, 103)
      assert.equal((await client.response()).status, 204)
      await proxy.untilLogged(1)
      assert.deepEqual(calls.slice(6), [
        'requestBodyFilter end',
        'upstreamResponseFilter 103',
        'responseFilter 103',
        'upstreamResponseFilter 204',
        'responseFilter 204',
        'responseBodyFilter end',
        'logging ok',
      ])
    })

    test(`for an own answer (${timing})`, async (t) => {
      const requestFilter = (session: Session): 'responded' => {
        session.respond(200, { body: 'mine', headers: { 'X-Own': '1' } })
        return 'responded'
      }
      const { proxy, calls } = await recorded(t, { requestFilter }, () => timing)
      const client = await proxy.client()
      client.send(GET + GET)
      for (let n = 0; n < 2; n++) {
        const answer = await client.response()
        assert.deepEqual([answer.body, fieldOf(answer, 'X-Own')], ['mine', '1'])
        assert.ok(fieldOf(answer, 'Date') !== undefined)
      }
      await proxy.untilLogged(2)
      const each = ['newCtx', 'earlyRequestFilter', 'requestFilter', 'logging ok']
      assert.deepEqual(calls, [...each, ...each])
    })

    test(`for a connect that fails (${timing})`, async (t) => {
      const { proxy, calls } = await recorded(t, {}, () => timing)
      await proxy.upstream.close()
      const client = await proxy.client()
      client.send(GET)
      assert.equal((await client.response()).status, 502)
      await proxy.untilLogged(1)
      assert.deepEqual(calls, [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'failToConnect',
        'suppressErrorLog',
        'requestSummary',
        'failToProxy',
        'logging PGR_CONNECT_REFUSED',
      ])
    })

    test(`for a retry on a reused connection (${timing})`, async (t) => {
      const { proxy, calls } = await recorded(t, {}, () => timing)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(OK)
      await client.response()
      await proxy.untilLogged(1)
      calls.length = 0
      client.send(PUT)
      await origin.request()
      origin.end()
      const second = await proxy.upstream.next()
      await second.request()
      second.send(OK)
      await client.response()
      await proxy.untilLogged(2)
      const attempt = ['upstreamRequestFilter', 'requestBodyFilter abc', 'requestBodyFilter end']
      assert.deepEqual(calls, [
        'newCtx',
        'earlyRequestFilter',
        'requestFilter',
        'upstreamPeer',
        'connectedToUpstream reused',
        ...attempt,
        'errorWhileProxy',
        'upstreamPeer',
        'connectedToUpstream new',
        ...attempt,
        'upstreamResponseFilter 200',
        'responseFilter 200',
        'responseBodyFilter ok',
        'responseBodyFilter end',
        'logging ok',
      ])
    })

    test(`for a client that leaves (${timing})`, async (t) => {
      const { proxy, calls } = await recorded(t, {}, () => timing)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      client.end()
      await origin.untilEnded()
      await proxy.untilLogged(1)
      assert.deepEqual(calls.slice(6), [
        'requestBodyFilter end',
        'errorWhileProxy',
        'suppressErrorLog',
        'requestSummary',
        'logging PGR_DOWNSTREAM_CLOSED',
      ])
    })

    test(`and change what passes in the same way (${timing})`, async (t) => {
      const { proxy } = await recorded(t, CHANGES, () => timing)
      const client = await proxy.client()
      client.send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab')
      const origin = await proxy.upstream.next()
      await origin.untilText('AB')
      client.send('cdef')
      const request = await origin.request()
      assert.equal(request.startLine, 'POST /y HTTP/1.1')
      assert.equal(request.body, 'ABCDEF!')
      assert.deepEqual(request.lines, ['Host: b', 'X-Early: 1', 'Transfer-Encoding: chunked'])
      origin.send('HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 6\r\n\r\nab')
      await client.untilText('ab')
      origin.send('cdef')
      const answer = await client.response()
      assert.equal(answer.body, '<ab><cdef>.')
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
    test(`with the same bytes when only ${slow} takes a turn`, async (t) => {
      const { proxy } = await recorded(t, {}, (name) => (name === slow ? 'turn' : 'sync'))
      proxy.upstream.answer(
        (request) => `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${request.body}`,
      )
      const client = await proxy.client()
      client.send(PUT + PUT)
      for (let n = 0; n < 2; n++) assert.equal((await client.response()).body, 'abc')
      await proxy.untilLogged(2)
      assert.equal(proxy.upstream.peers.length, 1)
    })
  }

  test('and the body passes whole through asynchronous filters, piece by piece', async (t) => {
    const { proxy } = await recorded(t, {}, (name) => (name.includes('Body') ? 'turn' : 'sync'))
    const body = Buffer.alloc(3_000_000, 'pingora').toString('latin1')
    proxy.upstream.answer(
      (request) =>
        `HTTP/1.1 200 OK\r\nContent-Length: ${request.body.length}\r\n\r\n${request.body}`,
    )
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await client.until(() => client.bytes > body.length, 'the whole body')
    assert.ok((await client.response()).body === body)
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
    const { proxy } = await recorded(t, {
      responseFilter: (_session: Session, response: ResponseHeader) => {
        response.removeHeader('Content-Length')
      },
      responseBodyFilter: (_session: Session, body: Buffer | undefined) => {
        if (body === undefined) return Buffer.concat(pieces)
        pieces.push(Buffer.from(body))
        return null
      },
    })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).body, 'ok')
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
        const { proxy } = await recorded(t, { responseBodyFilter }, () => timing)
        proxy.upstream.answer(OK)
        const client = await proxy.client()
        client.send(GET)
        await client.untilEnded()
        // Only one that is longer can have been taken for whole, and nothing follows it.
        assert.ok(client.text === '' || OK.startsWith(client.text))
        if (how === 'shorter') assert.ok(!client.text.endsWith('ok'))
        await proxy.untilLogged(1)
        assert.equal(proxy.logged[0]?.error?.code, 'PGR_BODY_LENGTH_MISMATCH')
        await proxy.upstream.peers[0]!.untilEnded()
      })

      test(`that makes a request body ${how} than its length is a 500 (${timing})`, async (t) => {
        const requestBodyFilter = (_session: Session, body: Buffer | undefined): unknown =>
          change(body)
        const { proxy } = await recorded(t, { requestBodyFilter }, () => timing)
        const client = await proxy.client()
        client.send(PUT)
        assert.equal((await client.response()).status, 500)
        const origin = await proxy.upstream.next()
        await origin.untilEnded()
        assert.equal(proxy.logged[0]?.error?.code, 'PGR_BODY_LENGTH_MISMATCH')
      })
    }
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
    'responseTrailerFilter',
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
    assert.equal(HOOK_NAMES.length, 16)
  })
})
