import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../../src/error/index.js'
import type { RequestHeader, ResponseHeader } from '../../src/http/index.js'
import type { ProxyHttp, Session } from '../../src/proxy/index.js'
import { reply } from '../../src/testing/index.js'
import type { TestRequest, TestWorld } from '../../src/testing/index.js'
import { ASYNC_HOOKS } from '../helpers/all-hooks.js'
import type { HookName } from '../helpers/all-hooks.js'
import { logLines, testProxy } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
const PUT: TestRequest = { method: 'PUT', body: 'abc' }

type Hooks = Partial<ProxyHttp<unknown>>

/** A way in which a hook can fail. */
interface Failure {
  readonly how: string
  readonly status: number
  /** Hooks of which one fails in the first request only. */
  readonly hooks: (world: TestWorld) => Hooks
}

/** Ways in which a hook can fail, and the status that each becomes. */
const FAILURES: readonly (readonly [how: string, thrown: unknown, status: number])[] = [
  ['throws', new Error('of the hook'), 500],
  ['throws a ProxyError', ProxyError.httpStatus(403), 403],
  ['throws undefined', undefined, 500],
  ['rejects', new Error('of the hook'), 500],
  ['rejects with a ProxyError', ProxyError.httpStatus(429), 429],
]

/** The failures that a hook can have. */
function failuresOf(name: HookName): Failure[] {
  const possible = FAILURES.filter(([how]) => ASYNC_HOOKS.has(name) || !how.startsWith('rejects'))
  return possible.map(([how, thrown, status]) => ({
    how,
    status,
    hooks: (world) => {
      let calls = 0
      const fail = (): unknown => {
        if (calls++ > 0) return undefined
        if (how.startsWith('throws')) throw thrown
        return world.sleep(1).then(() => {
          throw thrown
        })
      }
      return { [name]: fail }
    },
  }))
}

const BEFORE_AN_ANSWER = [
  'earlyRequestFilter',
  'requestFilter',
  'connectedToUpstream',
  'upstreamRequestFilter',
  'requestBodyFilter',
  'upstreamResponseFilter',
  'responseFilter',
] as const

describe('a hook that fails', () => {
  for (const name of BEFORE_AN_ANSWER) {
    for (const { how, status, hooks } of failuresOf(name)) {
      test(`ends the request when ${name} ${how}, and nothing else`, async (t) => {
        const { proxy, upstream } = await testProxy(t, { hooks })
        upstream.answer(OK)
        const exchange = await proxy.request(PUT)
        assert.equal(exchange.status, status)
        assert.ok(exchange.text.startsWith(String(status)))
        assert.equal(exchange.error?.status, status)
        const level = status === 500 ? 'error' : 'info'
        assert.deepEqual(logLines(exchange.logs), [`${level} request failed`])
        const used = upstream.connections.length
        assert.equal(upstream.open, 0)
        // The proxy lives on, and what the failed request used is not used again.
        const next = await proxy.request(PUT)
        assert.equal(next.text, 'ok')
        assert.equal(upstream.connections.length, used + 1)
      })
    }
  }

  for (const { how, hooks } of failuresOf('responseBodyFilter')) {
    test(`cuts the answer when responseBodyFilter ${how}`, async (t) => {
      const { proxy, upstream } = await testProxy(t, { hooks })
      upstream.answer(OK)
      const exchange = await proxy.get('/')
      assert.deepEqual([exchange.complete, exchange.text], [false, ''])
      assert.equal(exchange.failure, 'ended')
      assert.notEqual(exchange.error, undefined)
      assert.equal(upstream.open, 0)
    })
  }

  for (const { how, status, hooks } of failuresOf('upstreamPeer')) {
    test(`is the answer when upstreamPeer ${how}`, async (t) => {
      const { proxy, upstream } = await testProxy(t, { hooks })
      assert.equal((await proxy.get('/')).status, status)
      assert.equal(upstream.connections.length, 0)
    })
  }

  for (const { how, status, hooks } of failuresOf('failToConnect')) {
    test(`is the answer when failToConnect ${how}`, async (t) => {
      const { proxy, upstream } = await testProxy(t, { hooks })
      upstream.down()
      assert.equal((await proxy.get('/')).status, status)
    })
  }

  for (const { how, status, hooks } of failuresOf('errorWhileProxy')) {
    test(`is the answer when errorWhileProxy ${how}`, async (t) => {
      const { proxy, upstream } = await testProxy(t, { hooks })
      upstream.answer(reply.close())
      assert.equal((await proxy.get('/')).status, status)
    })
  }

  for (const name of ['failToProxy', 'suppressErrorLog', 'requestSummary'] as const) {
    for (const { how, hooks } of failuresOf(name)) {
      test(`leaves the answer alone when ${name} ${how}`, async (t) => {
        const { proxy, upstream } = await testProxy(t, { hooks })
        upstream.down()
        const { status, error, logs } = await proxy.get('/')
        assert.deepEqual([status, error?.code], [502, 'PGR_CONNECT_REFUSED'])
        const hookFailed = [
          'error a hook failed while a failure was logged',
          'error request failed',
        ]
        const twice = ['error request failed', 'error failToProxy failed']
        assert.deepEqual(logLines(logs), name === 'failToProxy' ? twice : hookFailed)
      })
    }
  }

  for (const { how, hooks } of failuresOf('logging')) {
    test(`changes nothing when logging ${how}`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, { hooks })
      upstream.answer(OK)
      const client = await proxy.client()
      for (const { text } of await Promise.all([client.get('/'), client.get('/')])) {
        assert.equal(text, 'ok')
      }
      await world.advance(1)
      assert.deepEqual(logLines(world.log).slice(1), ['error the logging hook failed'])
      assert.equal(upstream.connections.length, 1)
    })
  }

  for (const { how, status, hooks } of failuresOf('newCtx')) {
    test(`is the answer when newCtx ${how}; without a context no hook runs`, async (t) => {
      const { proxy } = await testProxy(t, { hooks, skipsLogging: true })
      const exchange = await proxy.get('/')
      assert.deepEqual([exchange.status, exchange.hooks], [status, []])
      assert.equal(proxy.sessions.length, 0)
      assert.equal(exchange.logs.filter(({ level }) => level === 'error').length, 1)
    })
  }

  for (const status of [99, 100, 199, 499, 600.5, 1_000, Number.NaN]) {
    test(`with the status ${status} cannot break the proxy`, async (t) => {
      const requestFilter = (): never => {
        throw ProxyError.httpStatus(status)
      }
      const { proxy } = await testProxy(t, { hooks: { requestFilter } })
      const { raw, tookMs } = await proxy.get('/')
      assert.ok(!raw.includes('NaN') && !raw.includes('.5'))
      assert.equal(tookMs, 0)
      assert.equal(proxy.sessions[0]?.loggings, 1)
    })
  }
})

describe('what a hook writes into a head', () => {
  const cases: readonly (readonly [string, Partial<ProxyHttp<unknown>>])[] = [
    [
      'a field for the upstream',
      onRequest((header) => header.insertHeader('X-A', 'a\r\nX-Evil: 1')),
    ],
    [
      'a field name for the upstream',
      onRequest((header) => header.appendHeader('X-A: 1\r\nX-Evil', '1')),
    ],
    [
      'the target',
      onRequest((header) => {
        header.target = '/ HTTP/1.1\r\nX-Evil: 1'
      }),
    ],
    [
      'an empty target',
      onRequest((header) => {
        header.target = ''
      }),
    ],
    [
      'the method',
      onRequest((header) => {
        header.method = 'GET / HTTP/1.1\r\nX-Evil: 1\r\n'
      }),
    ],
    ['a field that is no latin1', onRequest((header) => header.insertHeader('X-A', '\u0100'))],
    [
      'a field for the client',
      onResponse((header) => header.insertHeader('X-A', 'a\r\nX-Evil: 1')),
    ],
    [
      'the reason',
      onResponse((header) => {
        header.reason = 'OK\r\nX-Evil: 1'
      }),
    ],
    ['a length that is none', onResponse((header) => header.insertHeader('Content-Length', 'x'))],
    [
      'a status that is none',
      onResponse((header) => {
        header.status = 20
      }),
    ],
    [
      'its own answer',
      {
        requestFilter: (session) => {
          session.respond(200, { headers: { 'X-A': 'a\nX-Evil: 1' } })
          return 'responded'
        },
      },
    ],
  ]
  for (const [name, hooks] of cases) {
    test(`injects nothing: ${name} is a 500`, async (t) => {
      const { proxy, upstream } = await testProxy(t, { hooks })
      upstream.answer(OK)
      const exchange = await proxy.get('/')
      assert.equal(exchange.status, 500)
      assert.ok(!exchange.raw.includes('X-Evil'))
      assert.ok(upstream.connections.every((peer) => !peer.text.includes('X-Evil')))
    })
  }
})

function onRequest(change: (header: RequestHeader) => void): Partial<ProxyHttp<unknown>> {
  return {
    upstreamRequestFilter: (_session, header) => {
      change(header)
    },
  }
}

function onResponse(change: (header: ResponseHeader) => void): Partial<ProxyHttp<unknown>> {
  return {
    responseFilter: (_session, header) => {
      change(header)
    },
  }
}

describe('the answer to a failure', () => {
  const failing: Hooks = { upstreamPeer: () => undefined }

  test('may be given by failToProxy itself', async (t) => {
    const failToProxy = (session: Session): void => {
      session.respond(299, { headers: { 'Retry-After': '1' }, body: 'sorry' })
    }
    const { proxy } = await testProxy(t, { hooks: { ...failing, failToProxy } })
    const { status, text, headers } = await proxy.get('/')
    assert.deepEqual([status, text, headers.get('Retry-After')], [299, 'sorry', '1'])
    assert.equal(proxy.sessions[0]?.session.responseHeader?.status, 299)
  })

  for (const [verdict, status, body] of [
    [{ status: 418 }, 418, '418\n'],
    [{ body: 'so \xfc' }, 503, 'so \xfc'],
    [{ status: 404, body: '' }, 404, ''],
    [{}, 503, '503 Service Unavailable\n'],
    [undefined, 503, '503 Service Unavailable\n'],
  ] as const) {
    test(`is chosen by failToProxy: ${JSON.stringify(verdict)}`, async (t) => {
      const { proxy } = await testProxy(t, { hooks: { ...failing, failToProxy: () => verdict } })
      const client = await proxy.client()
      const { text, ...exchange } = await client.get('/')
      assert.deepEqual([exchange.status, text], [status, body])
      // An error is no reason to close the client's connection.
      assert.equal((await client.get('/')).status, status)
    })
  }

  test('is nothing when failToProxy says 0', async (t) => {
    const hooks = { ...failing, failToProxy: () => ({ status: 0 }) }
    const { proxy } = await testProxy(t, { hooks })
    const { raw, failure } = await proxy.get('/')
    assert.deepEqual([raw.length, failure], [0, 'ended'])
  })

  for (const status of [1, 150, 1_000, 400.5, Number.NaN]) {
    test(`survives a failToProxy that says ${status}`, async (t) => {
      const hooks = { ...failing, failToProxy: () => ({ status }) }
      const { proxy } = await testProxy(t, { hooks })
      assert.equal((await proxy.get('/')).tookMs, 0)
      assert.equal(proxy.sessions[0]?.loggings, 1)
    })
  }

  test('has no body for HEAD, and the length that GET would have', async (t) => {
    const { proxy } = await testProxy(t, { hooks: failing })
    const client = await proxy.client()
    const { status, headers } = await client.request({ method: 'HEAD' })
    assert.deepEqual([status, headers.get('Content-Length')], [503, '24'])
    assert.equal(client.peer.rest, '')
  })

  test('closes the connection when the request has a body that nobody read', async (t) => {
    const { proxy } = await testProxy(t, { hooks: failing })
    const client = await proxy.client()
    const behind = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n${behind}`)
    const { status, headers } = await client.exchange('POST')
    assert.deepEqual([status, headers.get('Connection')], [503, 'close'])
    await client.peer.untilEnded()
    assert.equal(client.peer.rest, '')
    assert.equal(proxy.sessions.length, 1)
  })

  test('is what errorWhileProxy makes of it', async (t) => {
    const errorWhileProxy = (): ProxyError => ProxyError.httpStatus(509, 'overloaded')
    const { proxy, upstream } = await testProxy(t, { hooks: { errorWhileProxy } })
    upstream.answer(reply.close())
    const { status, error } = await proxy.get('/')
    assert.deepEqual([status, error?.message], [509, 'overloaded'])
  })

  test('is what failToConnect makes of it', async (t) => {
    const failToConnect = (): ProxyError => ProxyError.httpStatus(521)
    const { proxy, upstream } = await testProxy(t, { hooks: { failToConnect } })
    upstream.down()
    assert.equal((await proxy.get('/')).status, 521)
  })

  test('is logged under the name that requestSummary gives', async (t) => {
    const { proxy } = await testProxy(t, { hooks: { ...failing, requestSummary: () => 'order 7' } })
    const { logs } = await proxy.get('/')
    const line = logs.find(({ level }) => level === 'error')
    assert.deepEqual([line?.fields['request'], line?.fields['code']], ['order 7', 'PGR_NO_PEER'])
  })

  test('is not logged when suppressErrorLog says so', async (t) => {
    const hooks = { ...failing, suppressErrorLog: () => true }
    const { world, proxy } = await testProxy(t, { hooks })
    assert.deepEqual((await proxy.get('/')).logs, [])
    assert.equal(world.counters.errors('PGR_NO_PEER'), 1)
  })

  test("is a 500 when a hook says 'responded' and did not respond", async (t) => {
    const requestFilter = (): 'responded' => 'responded'
    const { proxy } = await testProxy(t, { hooks: { requestFilter } })
    const { status, error } = await proxy.get('/')
    assert.deepEqual([status, error?.code], [500, 'PGR_RESPONSE_ORDER'])
  })

  test('is not given twice: what a hook wrote after its own answer is refused', async (t) => {
    const requestFilter = (session: Session): 'responded' => {
      session.respond(200, { body: 'one' })
      assert.throws(() => session.respond(200, { body: 'two' }), { code: 'PGR_RESPONSE_ORDER' })
      return 'responded'
    }
    const { proxy } = await testProxy(t, { hooks: { requestFilter } })
    const client = await proxy.client()
    const exchanges = await Promise.all([client.get('/'), client.get('/')])
    assert.deepEqual(
      exchanges.map(({ text, error }) => [text, error]),
      [
        ['one', undefined],
        ['one', undefined],
      ],
    )
    assert.equal(client.peer.rest, '')
  })

  test('does not mix with the own answer of a hook that went on all the same', async (t) => {
    const requestFilter = (session: Session): void => {
      session.respond(200, { body: 'mine' })
    }
    const { proxy, upstream } = await testProxy(t, { hooks: { requestFilter } })
    upstream.answer(OK)
    const client = await proxy.client()
    const { text, error } = await client.get('/')
    assert.deepEqual([text, error?.code], ['mine', 'PGR_RESPONSE_ORDER'])
    assert.equal(client.peer.rest, '')
  })
})
