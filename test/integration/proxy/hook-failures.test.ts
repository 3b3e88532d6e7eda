import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../../../src/error/index.js'
import type { RequestHeader, ResponseHeader } from '../../../src/http/index.js'
import type { ProxyHttp, Session } from '../../../src/proxy/index.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import { fieldOf } from '../../helpers/raw-message.js'
import { ASYNC_HOOKS } from '../../helpers/recorded-hooks.js'
import type { HookName } from '../../helpers/recorded-hooks.js'
import { settle } from '../../helpers/settle.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const PUT = 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'

/** Ways in which a hook can fail, and the status that each becomes. */
const FAILURES: readonly (readonly [name: string, fail: () => unknown, status: number])[] = [
  ['throws', () => fail(new Error('of the hook')), 500],
  ['throws a ProxyError', () => fail(ProxyError.httpStatus(403)), 403],
  ['throws undefined', () => fail(undefined), 500],
  ['rejects', () => settle().then(() => fail(new Error('of the hook'))), 500],
  ['rejects with a ProxyError', () => settle().then(() => fail(ProxyError.httpStatus(429))), 429],
]

function fail(thrown: unknown): never {
  throw thrown
}

/** The failures that a hook can have, each as a hook that fails only in the first request. */
function failuresOf(
  name: HookName,
): { how: string; status: number; hooks: Partial<ProxyHttp<unknown>> }[] {
  const possible = FAILURES.filter(([how]) => ASYNC_HOOKS.has(name) || !how.startsWith('rejects'))
  return possible.map(([how, act, status]) => {
    let calls = 0
    return { how, status, hooks: { [name]: () => (calls++ === 0 ? act() : undefined) } }
  })
}

const EARLY = ['earlyRequestFilter', 'requestFilter'] as const
const EXCHANGE = [
  'connectedToUpstream',
  'upstreamRequestFilter',
  'requestBodyFilter',
  'upstreamResponseFilter',
  'responseFilter',
] as const

describe('a hook that fails', () => {
  for (const name of [...EARLY, ...EXCHANGE]) {
    for (const { how, status, hooks } of failuresOf(name)) {
      test(`ends the request when ${name} ${how}, and nothing else`, async (t) => {
        const proxy = await ProxyUnderTest.start(t, { hooks })
        proxy.upstream.answer(OK)
        const client = await proxy.client()
        client.send(PUT)
        const answer = await client.response()
        assert.equal(answer.status, status)
        assert.ok(answer.body.startsWith(String(status)))
        await proxy.untilLogged(1)
        assert.equal(proxy.logged[0]?.error?.status, status)
        assert.deepEqual(proxy.messages(status === 500 ? 'error' : 'info').slice(-1), [
          'request failed',
        ])
        const used = proxy.upstream.peers[0]
        if (used !== undefined) await used.untilEnded()
        // The proxy lives on, and what the failed request used is not used again.
        const next = await proxy.client()
        next.send(PUT)
        assert.equal((await next.response()).body, 'ok')
        assert.equal(proxy.upstream.peers.length, used === undefined ? 1 : 2)
      })
    }
  }

  for (const { how, hooks } of failuresOf('responseBodyFilter')) {
    test(`cuts the answer when responseBodyFilter ${how}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks })
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      client.send(GET)
      await client.untilEnded()
      assert.ok(!client.text.endsWith('ok'))
      await proxy.upstream.peers[0]?.untilEnded()
      await proxy.untilLogged(1)
      assert.notEqual(proxy.logged[0]?.error, undefined)
    })
  }

  for (const { how, status, hooks } of failuresOf('upstreamPeer')) {
    test(`is the answer when upstreamPeer ${how}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks })
      const client = await proxy.client()
      client.send(GET)
      assert.equal((await client.response()).status, status)
      assert.equal(proxy.logged.length, 1)
    })
  }

  for (const { how, status, hooks } of failuresOf('failToConnect')) {
    test(`is the answer when failToConnect ${how}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks })
      await proxy.upstream.close()
      const client = await proxy.client()
      client.send(GET)
      assert.equal((await client.response()).status, status)
    })
  }

  for (const { how, status, hooks } of failuresOf('errorWhileProxy')) {
    test(`is the answer when errorWhileProxy ${how}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks })
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.end()
      assert.equal((await client.response()).status, status)
    })
  }

  for (const name of ['failToProxy', 'suppressErrorLog', 'requestSummary'] as const) {
    for (const { how, hooks } of failuresOf(name)) {
      test(`leaves the answer alone when ${name} ${how}`, async (t) => {
        const proxy = await ProxyUnderTest.start(t, { hooks })
        await proxy.upstream.close()
        const client = await proxy.client()
        client.send(GET)
        assert.equal((await client.response()).status, 502)
        await proxy.untilLogged(1)
        assert.equal(proxy.logged[0]?.error?.code, 'PGR_CONNECT_REFUSED')
        assert.ok(proxy.messages('error').some((message) => message.includes('failed')))
      })
    }
  }

  for (const { how, hooks } of failuresOf('logging')) {
    test(`changes nothing when logging ${how}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks })
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      client.send(GET + GET)
      assert.equal((await client.response()).body, 'ok')
      assert.equal((await client.response()).body, 'ok')
      await proxy.until(
        () => proxy.messages('error').includes('the logging hook failed'),
        'the line',
      )
      assert.equal(proxy.upstream.peers.length, 1)
    })
  }

  for (const { how, status, hooks } of failuresOf('newCtx')) {
    test(`is the answer when newCtx ${how}; without a context no hook runs`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { hooks, skipsLogging: true })
      const client = await proxy.client()
      client.send(GET)
      assert.equal((await client.response()).status, status)
      assert.deepEqual([proxy.logged.length, proxy.messages('error').length], [0, 1])
    })
  }

  for (const status of [99, 100, 199, 499, 600.5, 1_000, Number.NaN]) {
    test(`with the status ${status} cannot break the proxy`, async (t) => {
      const requestFilter = (): never => {
        throw ProxyError.httpStatus(status)
      }
      const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter } })
      const client = await proxy.client()
      client.send(GET)
      await client.until(() => client.ended || client.text.endsWith('\n'), 'an answer or the end')
      await proxy.untilLogged(1)
      assert.ok(!client.text.includes('NaN') && !client.text.includes('.5'))
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
      const proxy = await ProxyUnderTest.start(t, { hooks })
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      client.send(GET)
      const answer = await client.response()
      assert.equal(answer.status, 500)
      assert.ok(!client.text.includes('X-Evil'))
      assert.ok(proxy.upstream.peers.every((peer) => !peer.text.includes('X-Evil')))
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
  const failing = { upstreamPeer: () => undefined }

  test('may be given by failToProxy itself', async (t) => {
    const failToProxy = (session: Session): void => {
      session.respond(299, { headers: { 'Retry-After': '1' }, body: 'sorry' })
    }
    const proxy = await ProxyUnderTest.start(t, { hooks: { ...failing, failToProxy } })
    const client = await proxy.client()
    client.send(GET)
    const answer = await client.response()
    assert.deepEqual(
      [answer.status, answer.body, fieldOf(answer, 'Retry-After')],
      [299, 'sorry', '1'],
    )
    assert.equal(proxy.logged[0]?.session.responseHeader?.status, 299)
  })

  for (const [verdict, status, body] of [
    [{ status: 418 }, 418, '418\n'],
    [{ body: 'so \xfc' }, 503, 'so \xc3\xbc'],
    [{ status: 404, body: '' }, 404, ''],
    [{}, 503, '503 Service Unavailable\n'],
    [undefined, 503, '503 Service Unavailable\n'],
  ] as const) {
    test(`is chosen by failToProxy: ${JSON.stringify(verdict)}`, async (t) => {
      const hooks = { ...failing, failToProxy: () => verdict }
      const proxy = await ProxyUnderTest.start(t, { hooks })
      const client = await proxy.client()
      client.send(GET)
      const answer = await client.response()
      assert.deepEqual([answer.status, answer.body], [status, body])
      // An error is no reason to close the client's connection.
      client.send(GET)
      assert.equal((await client.response()).status, status)
    })
  }

  test('is nothing when failToProxy says 0', async (t) => {
    const hooks = { ...failing, failToProxy: () => ({ status: 0 }) }
    const proxy = await ProxyUnderTest.start(t, { hooks })
    const client = await proxy.client()
    client.send(GET)
    await client.untilEnded()
    assert.equal(client.text, '')
  })

  for (const status of [1, 150, 1_000, 400.5, Number.NaN]) {
    test(`survives a failToProxy that says ${status}`, async (t) => {
      const hooks = { ...failing, failToProxy: () => ({ status }) }
      const proxy = await ProxyUnderTest.start(t, { hooks })
      const client = await proxy.client()
      client.send(GET)
      await client.until(() => client.ended || client.text.endsWith('\n'), 'an answer or the end')
      await proxy.untilLogged(1)
    })
  }

  test('has no body for HEAD, and the length that GET would have', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: failing })
    const client = await proxy.client()
    client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
    const answer = await client.response('HEAD')
    assert.deepEqual([answer.status, fieldOf(answer, 'Content-Length')], [503, '24'])
    assert.equal(client.rest, '')
  })

  test('closes the connection when the request has a body that nobody read', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { hooks: failing })
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n${GET}`)
    const answer = await client.response()
    assert.deepEqual([answer.status, fieldOf(answer, 'Connection')], [503, 'close'])
    await client.untilEnded()
    assert.equal(client.rest, '')
    assert.equal(proxy.logged.length, 1)
  })

  test('is what errorWhileProxy makes of it', async (t) => {
    const errorWhileProxy = (): ProxyError => ProxyError.httpStatus(509, 'overloaded')
    const proxy = await ProxyUnderTest.start(t, { hooks: { errorWhileProxy } })
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.end()
    assert.equal((await client.response()).status, 509)
    assert.equal(proxy.logged[0]?.error?.message, 'overloaded')
  })

  test('is what failToConnect makes of it', async (t) => {
    const failToConnect = (): ProxyError => ProxyError.httpStatus(521)
    const proxy = await ProxyUnderTest.start(t, { hooks: { failToConnect } })
    await proxy.upstream.close()
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).status, 521)
  })

  test('is logged under the name that requestSummary gives', async (t) => {
    const hooks = { ...failing, requestSummary: () => 'order 7' }
    const proxy = await ProxyUnderTest.start(t, { hooks })
    const client = await proxy.client()
    client.send(GET)
    await client.response()
    const line = proxy.lines.find(({ level }) => level === 'error')
    assert.deepEqual([line?.fields['request'], line?.fields['code']], ['order 7', 'PGR_NO_PEER'])
  })

  test('is not logged when suppressErrorLog says so', async (t) => {
    const hooks = { ...failing, suppressErrorLog: () => true }
    const proxy = await ProxyUnderTest.start(t, { hooks })
    const client = await proxy.client()
    client.send(GET)
    await client.response()
    assert.deepEqual(proxy.messages('error'), [])
    assert.equal(proxy.counters.errors('PGR_NO_PEER'), 1)
  })

  test("is a 500 when a hook says 'responded' and did not respond", async (t) => {
    const requestFilter = (): 'responded' => 'responded'
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter } })
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).status, 500)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_RESPONSE_ORDER')
  })

  test('is not given twice: what a hook wrote after its own answer is refused', async (t) => {
    const requestFilter = (session: Session): 'responded' => {
      session.respond(200, { body: 'one' })
      assert.throws(() => session.respond(200, { body: 'two' }), { code: 'PGR_RESPONSE_ORDER' })
      return 'responded'
    }
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter } })
    const client = await proxy.client()
    client.send(GET + GET)
    assert.equal((await client.response()).body, 'one')
    assert.equal((await client.response()).body, 'one')
  })

  test('does not mix with the own answer of a hook that went on all the same', async (t) => {
    const requestFilter = (session: Session): void => {
      session.respond(200, { body: 'mine' })
    }
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter } })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET)
    assert.equal((await client.response()).body, 'mine')
    await proxy.untilLogged(1)
    assert.equal(client.rest, '')
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_RESPONSE_ORDER')
  })
})
