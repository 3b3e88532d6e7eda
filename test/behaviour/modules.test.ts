import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ProxyError } from '../../src/error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../../src/http/index.js'
import type { HttpModule, HttpModules } from '../../src/modules/index.js'
import { httpProxyService } from '../../src/proxy/index.js'
import type { ProxyHttp, Session } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import { reply } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { NOWHERE, UPSTREAM, testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld } from '../helpers/test-world.js'

const OK = reply(200, 'ok')

/** Puts its letter around everything that passes, and says so in `seen`. */
class Letter implements HttpModule {
  readonly letter: string
  readonly seen: string[]

  constructor(letter: string, seen: string[] = []) {
    this.letter = letter
    this.seen = seen
  }

  requestHeaderFilter(request: RequestHeader): void {
    this.seen.push(`${this.letter} request`)
    request.appendHeader('X-Up', this.letter)
    request.removeHeader('Content-Length')
  }

  requestBodyFilter(body: Buffer | undefined, endOfStream: boolean): Buffer {
    this.seen.push(`${this.letter} body ${String(body?.length)} ${endOfStream}`)
    return Buffer.from(body ? `${this.letter}(${String(body)})` : `${this.letter}.`)
  }

  responseHeaderFilter(response: ResponseHeader): void {
    response.appendHeader('X-Down', this.letter)
    response.removeHeader('Content-Length')
  }

  responseBodyFilter(body: Buffer | undefined): Uint8Array {
    const text = body ? `${this.letter}(${String(body)})` : `${this.letter}.`
    return new TextEncoder().encode(text)
  }

  responseTrailerFilter(trailers: HeaderMap): void {
    trailers.append('X-Tail', this.letter)
  }
}

class Other extends Letter {}

/** Does what it is given. */
class One implements HttpModule {
  declare readonly requestHeaderFilter?: NonNullable<HttpModule['requestHeaderFilter']>

  constructor(filters: HttpModule) {
    Object.assign(this, filters)
  }
}

/** A proxy whose modules put `a`, then `b`, around everything. */
function lettered(
  t: TestContext,
  hooks: Partial<ProxyHttp<unknown>> = {},
  seen: string[] = [],
): Promise<ProxyInWorld> {
  return withModules(
    t,
    (modules) => {
      modules.addModule({ module: Other, init: () => new Other('b', seen) })
      modules.addModule({ module: Letter, order: 1, init: () => new Letter('a', seen) })
    },
    hooks,
  )
}

function withModules(
  t: TestContext,
  initDownstreamModules: (modules: HttpModules) => void,
  hooks: Partial<ProxyHttp<unknown>> = {},
): Promise<ProxyInWorld> {
  return testProxy(t, { hooks: { initDownstreamModules, ...hooks } })
}

/** A proxy with one module. */
function withModule(
  t: TestContext,
  filters: HttpModule,
  hooks: Partial<ProxyHttp<unknown>> = {},
): Promise<ProxyInWorld> {
  return withModules(
    t,
    (modules) => {
      modules.addModule({ module: One, init: () => new One(filters) })
    },
    hooks,
  )
}

describe('modules', () => {
  test('stand between the client and the hooks, the higher order first', async (t) => {
    const seen: string[] = []
    const { proxy, upstream } = await lettered(
      t,
      {
        earlyRequestFilter: (session) => {
          seen.push(`early ${session.getHeader('X-Up') ?? 'no'}`)
        },
        requestFilter: (session) => {
          seen.push(`filter ${session.getHeader('X-Up') ?? 'no'}`)
        },
        requestBodyFilter: (_session, body, end) => {
          seen.push(`hook ${String(body)} ${end}`)
        },
        responseBodyFilter: (_session, body) => body && Buffer.from(`[${String(body)}]`),
      },
      seen,
    )
    upstream.answer((request) => reply(200, request.body, { trailers: { 'X-Tail': '0' } }))
    const { text, trailers, headers } = await proxy.request({
      method: 'POST',
      body: 'x',
      headers: { TE: 'trailers', Connection: 'TE' },
    })
    assert.deepEqual(seen, [
      'early no',
      'a request',
      'b request',
      'filter a',
      'a body 1 false',
      'b body 4 false',
      'hook b(a(x)) false',
      'a body undefined true',
      'b body 2 false',
      'b body undefined true',
      'hook b(a.)b. false',
      'hook undefined true',
    ])
    // What reached the upstream came back in one piece.
    assert.equal(text, 'b(a([b(a(x))b(a.)b.]))b(a.)b.')
    assert.equal(headers.getAll('X-Down').join(), 'a,b')
    assert.deepEqual(trailers.entries, [
      ['X-Tail', '0'],
      ['X-Tail', 'a'],
      ['X-Tail', 'b'],
    ])
  })

  test('see what hooks answer, and what the proxy answers to a failure', async (t) => {
    const { proxy } = await lettered(t, {
      requestFilter: (session) => {
        if (session.reqHeader.path !== '/own') return 'continue'
        session.respond(200, { body: 'mine' })
        return 'responded'
      },
      upstreamPeer: () => new HttpPeer(NOWHERE),
      failToProxy: () => ({ body: 'sorry' }),
    })
    const own = await proxy.get('/own')
    assert.deepEqual([own.status, own.text], [200, 'b(a(mine))b(a.)b.'])
    const failed = await proxy.get('/')
    assert.deepEqual([failed.status, failed.text], [502, 'b(a(sorry))b(a.)b.'])
    assert.equal(failed.headers.getAll('X-Down').join(), 'a,b')
  })

  test('keep a length that they do not remove, and the connection', async (t) => {
    const { proxy, upstream } = await withModule(t, {
      responseBodyFilter: (body) => body && Buffer.from(String(body).toUpperCase()),
    })
    upstream.answer(OK)
    const client = await proxy.client()
    for (const path of ['/1', '/2']) {
      const { text, headers } = await client.get(path)
      assert.deepEqual([text, headers.get('Content-Length')], ['OK', '2'])
    }
    assert.equal(upstream.connections.length, 1)
  })

  test('see a body once, whatever attempts are made', async (t) => {
    const seen: string[] = []
    let attempts = 0
    const { proxy, upstream } = await lettered(
      t,
      {
        upstreamPeer: () => new HttpPeer(++attempts === 1 ? NOWHERE : UPSTREAM),
        failToConnect: (_session, _peer, error) => {
          error.retry = 'yes'
        },
      },
      seen,
    )
    upstream.answer((request) => reply(200, request.body))
    const { text } = await proxy.request({ method: 'PUT', body: 'x' })
    assert.match(text, /b\(a\(x\)\)b\(a\.\)b\./)
    assert.equal(attempts, 2)
    assert.equal(seen.filter((each) => each === 'a body 1 false').length, 1)
  })

  test('are found by their class, one of each for each request', async (t) => {
    const found: unknown[] = []
    const note = (session: Session): void => {
      found.push(session.modules.get(Letter)?.letter, session.modules.get(Other)?.letter)
      found.push(session.modules.get(Missing))
    }
    class Missing implements HttpModule {
      requestHeaderFilter(): void {
        // Nobody adds it.
      }
    }
    let made = 0
    const { proxy, upstream } = await withModules(
      t,
      (modules) => {
        modules.addModule({ module: Letter, init: () => new Letter(String(++made)) })
        modules.addModule({ module: Other, init: () => new Other('b') })
      },
      { logging: note },
    )
    upstream.answer(OK)
    const client = await proxy.client()
    await client.get('/')
    await client.get('/')
    assert.deepEqual(found, ['1', 'b', undefined, '2', 'b', undefined])
  })

  test('may wait over the head of a request', async (t) => {
    const { proxy, upstream } = await withModule(t, {
      requestHeaderFilter: async (request) => {
        await Promise.resolve()
        request.insertHeader('X-Late', '1')
      },
    })
    upstream.answer((request) => reply(200, request.headers.get('X-Late') ?? 'no'))
    assert.equal((await proxy.get('/')).text, '1')
  })

  test('may drop all of a body, and send bytes in the place of trailers', async (t) => {
    const { proxy, upstream } = await withModule(t, {
      responseBodyFilter: (body) => (body ? null : undefined),
      responseTrailerFilter: (trailers) => Buffer.from(trailers.get('X-Sum') ?? ''),
    })
    upstream.answer(reply(200, 'ok', { trailers: { 'X-Sum': '42' } }))
    const { text, trailers } = await proxy.request({
      headers: { TE: 'trailers', Connection: 'TE' },
    })
    assert.deepEqual([text, trailers.entries], ['42', []])
  })

  test('carry large bodies, with clients and upstreams that are slow', async (t) => {
    const { proxy, upstream } = await withModule(t, {
      requestBodyFilter: (body) => body && Buffer.from(body),
      responseBodyFilter: (body) => body && Buffer.from(body),
    })
    upstream.answer((request) => reply(200, request.body))
    const body = Buffer.alloc(3_000_000, 'pingora')
    assert.ok((await proxy.request({ method: 'POST', body })).body.equals(body))
  })
})

describe('a module that throws', () => {
  const fail = (): never => {
    throw new Error('no')
  }

  test('over the head of the request ends it with 500', async (t) => {
    const { proxy, upstream } = await withModule(t, { requestHeaderFilter: fail })
    const { status, error } = await proxy.get('/')
    assert.deepEqual([status, error?.code], [500, 'PGR_HOOK_FAILED'])
    assert.equal(upstream.connections.length, 0)
  })

  test('over the body of the request ends it as it says', async (t) => {
    const { proxy, upstream } = await withModule(t, {
      requestBodyFilter: () => {
        throw new ProxyError('PGR_REQUEST_BODY_INVALID')
      },
    })
    upstream.answer(OK)
    const { status, error } = await proxy.request({ method: 'POST', body: 'x' })
    assert.deepEqual([status, error?.code], [400, 'PGR_REQUEST_BODY_INVALID'])
  })

  test('at the end of the request ends it too', async (t) => {
    const { proxy } = await withModule(t, {
      requestBodyFilter: (_body, endOfStream) => (endOfStream ? fail() : undefined),
    })
    const { status, error } = await proxy.request({ method: 'POST', body: 'x' })
    assert.deepEqual([status, error?.code], [500, 'PGR_HOOK_FAILED'])
  })

  test('over the head of the response is answered without it', async (t) => {
    const { proxy, upstream } = await withModule(t, { responseHeaderFilter: fail })
    upstream.answer(OK)
    const { status, text, error } = await proxy.get('/')
    assert.deepEqual([status, error?.code], [500, 'PGR_HOOK_FAILED'])
    assert.equal(text, '500 Internal Server Error\n')
  })

  for (const [where, filters] of [
    ['body', { responseBodyFilter: fail }],
    ['trailers', { responseTrailerFilter: fail }],
  ] as const) {
    test(`over the ${where} of the response cuts it`, async (t) => {
      const { proxy, upstream } = await withModule(t, filters)
      upstream.answer(reply(200, 'ok', { trailers: { 'X-Sum': '42' } }))
      const { complete, error } = await proxy.get('/')
      assert.deepEqual([complete, error?.code], [false, 'PGR_HOOK_FAILED'])
    })
  }

  test('over the own answer of a hook has it cut, or answered without it', async (t) => {
    for (const [filters, status] of [
      [{ responseHeaderFilter: fail }, 500],
      [{ responseBodyFilter: fail }, undefined],
    ] as const) {
      const { proxy } = await withModule(t, filters, {
        requestFilter: (session) => {
          session.respond(200, { body: 'mine' })
          return 'responded'
        },
      })
      const answer = await proxy.get('/')
      assert.equal(answer.complete ? answer.status : undefined, status)
      assert.equal(answer.error?.code, 'PGR_HOOK_FAILED')
    }
  })

  test('when it is made ends the request, and the next one is served', async (t) => {
    let made = 0
    const { proxy, upstream } = await testProxy(t, {
      skipsLogging: true,
      hooks: {
        initDownstreamModules: (modules) => {
          modules.addModule({ module: One, init: () => (++made === 1 ? fail() : new One({})) })
        },
      },
    })
    upstream.answer(OK)
    const client = await proxy.client()
    assert.equal((await client.get('/')).status, 500)
    assert.equal((await client.get('/')).status, 200)
  })
})

describe('a proxy with modules is refused when it is built', () => {
  const build = (initDownstreamModules: (modules: HttpModules) => void): unknown =>
    httpProxyService(new ServerConf(), {
      newCtx: () => 0,
      upstreamPeer: () => undefined,
      initDownstreamModules,
    })
  const one = { module: Letter, init: () => new Letter('a') }

  test('because there are two of one class', () => {
    const twice = (modules: HttpModules): void => {
      modules.addModule(one)
      modules.addModule(one)
    }
    assert.throws(() => build(twice), { code: 'PGR_OPTION_INVALID', message: /Letter was added/ })
  })

  test('and takes none later', () => {
    let kept: HttpModules | undefined
    build((modules) => {
      kept = modules
    })
    assert.throws(() => kept?.addModule(one), { code: 'PGR_OPTION_INVALID', message: /too late/ })
  })
})
