import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ProxyError } from '../../src/error/index.js'
import type { TestClient, TestPeer } from '../../src/testing/index.js'
import { reply } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld, ProxySetup } from '../helpers/test-world.js'

const ASK =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const GRANT =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nDate: x\r\n\r\n'

interface OpenTunnel extends ProxyInWorld {
  readonly client: TestClient
  readonly origin: TestPeer
}

/** A tunnel through a proxy, with nothing in it yet. */
async function tunnel(t: TestContext, setup: ProxySetup = {}): Promise<OpenTunnel> {
  const inWorld = await testProxy(t, setup)
  const client = await inWorld.proxy.client()
  client.send(ASK)
  const origin = await inWorld.upstream.next()
  await origin.request()
  origin.send(GRANT)
  assert.equal((await client.peer.response()).status, 101)
  return { ...inWorld, client, origin }
}

/** Closes the origin's side with the proxy's, as its tests are not about it. */
async function bothEnd({ client, origin }: OpenTunnel): Promise<void> {
  client.peer.end()
  await origin.untilEnded()
  origin.end()
  await client.peer.untilClosed()
}

describe('an upgrade', () => {
  test('is asked for anew, and granted anew, between neighbours', async (t) => {
    const inWorld = await testProxy(t)
    const client = await inWorld.proxy.client()
    client.send(ASK)
    const origin = await inWorld.upstream.next()
    const asked = await origin.request()
    assert.deepEqual(
      [asked.headers.get('Connection'), asked.headers.get('Upgrade')],
      ['upgrade', 'websocket'],
    )
    assert.equal(asked.headers.get('Sec-WebSocket-Key'), 'dGhlIHNhbXBsZSBub25jZQ==')
    origin.send(GRANT)
    const granted = await client.peer.response()
    assert.deepEqual(granted.headers.entries, [
      ['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
      ['Date', 'x'],
      ['Connection', 'upgrade'],
      ['Upgrade', 'websocket'],
    ])
    await bothEnd({ ...inWorld, client, origin })
  })

  test('makes a tunnel both ways, counted, logged once at its end with its bytes', async (t) => {
    const open = await tunnel(t)
    const { world, proxy, client, origin } = open
    client.send('ping \xff\r\n')
    await origin.untilText('ping \xff\r\n')
    origin.send('pong')
    await client.peer.untilText('pong')
    const [session] = proxy.sessions
    assert.equal(session?.loggings, 0)
    assert.deepEqual([world.counters.get('tunnels'), world.counters.get('tunnelsOpen')], [1, 1])
    await bothEnd(open)
    assert.deepEqual([session.loggings, session.error], [1, undefined])
    assert.deepEqual(
      [session.session.bodyBytesRead, session.session.bodyBytesSent, session.session.wasUpgraded],
      [8, 4, true],
    )
    assert.deepEqual([world.counters.get('tunnels'), world.counters.get('tunnelsOpen')], [1, 0])
    assert.equal(origin.errorCode, '')
  })

  test('leaves what it carries as it is, wherever it is cut', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const whole = Buffer.from(`${ASK}early`, 'latin1')
    for (let cut = 1; cut < whole.length; cut++) {
      const client = await proxy.client()
      client.send(whole.subarray(0, cut))
      await world.idle()
      client.send(whole.subarray(cut))
      const origin = await upstream.next()
      await origin.request()
      const answer = Buffer.from(`${GRANT}first`, 'latin1')
      const at = 1 + (cut % (answer.length - 1))
      origin.send(answer.subarray(0, at))
      await world.idle()
      origin.send(answer.subarray(at))
      await client.peer.untilText('first')
      await origin.untilText('early')
      assert.deepEqual([origin.rest, client.peer.rest], ['early', client.peer.text])
      client.peer.end()
      await origin.untilEnded()
      origin.end()
      await client.peer.untilClosed()
    }
  })

  test('holds bytes that the client sends before it is granted', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(`${ASK}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`)
    const origin = await upstream.next()
    await origin.request()
    await world.advance(1_000)
    assert.equal(origin.rest, '')
    origin.send(GRANT)
    await origin.untilText('/smuggled')
    assert.equal(proxy.sessions.length, 1)
    origin.reset()
    await client.peer.untilClosed()
  })

  test('holds no more of them than 64 KiB and what the kernel takes', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(ASK)
    client.send(Buffer.alloc(4 * 1024 * 1024))
    const origin = await upstream.next()
    await origin.request()
    await world.idle()
    assert.ok(client.peer.connection.pendingBytes > 3 * 1024 * 1024)
    assert.equal(origin.restBytes, 0)
    client.peer.reset()
    await origin.untilEnded(100_000)
  })

  test('that is refused gives its answer, and both connections go on', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply(403, 'no'))
    const client = await proxy.client()
    const refused = await client.request({ raw: ASK })
    assert.deepEqual([refused.status, refused.text, refused.connectionOpen], [403, 'no', true])
    upstream.answer(reply(200, 'next'))
    const next = await client.get('/')
    assert.deepEqual([next.text, next.attempts[0]?.reused], ['next', true])
  })

  test('that is refused after early bytes closes, for they may be of another protocol', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply(403, 'no'))
    const client = await proxy.client()
    const exchange = await client.request({
      raw: `${ASK}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`,
    })
    assert.deepEqual([exchange.status, exchange.headers.get('Connection')], [403, 'close'])
    await client.peer.untilEnded()
    assert.deepEqual(
      [proxy.sessions.length, upstream.requests.map(({ target }) => target)],
      [1, ['/chat']],
    )
  })

  test('that is refused closes too when the bytes come while the answer is under way', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const head = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n'
    upstream.answer(reply.raw(`${head}no`).followedBy(reply.raw('!!').after(100)))
    const client = await proxy.client()
    const exchange = client.request({ raw: ASK })
    await client.peer.untilText('no')
    client.send('GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await exchange).text, 'no!!')
    await client.peer.untilEnded()
    await world.advance(3_000)
    assert.equal(proxy.sessions.length, 1)
  })

  test('sends the body of its request first', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(
      'POST /attach HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nab',
    )
    const origin = await upstream.next()
    await world.idle()
    client.send('cdraw')
    assert.equal((await origin.request()).text, 'abcd')
    await world.idle()
    assert.equal(origin.rest, '')
    origin.send('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello')
    assert.equal((await client.peer.response('POST')).reason, 'UPGRADED')
    await origin.untilText('raw')
    await client.peer.untilText('hello')
    client.peer.end()
    origin.end()
    await client.peer.untilClosed()
    assert.equal(proxy.sessions[0]?.session.bodyBytesRead, 7)
  })

  test('is no upgrade in HTTP/1.0, without Connection, or to HTTP/2', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply(200))
    for (const [version, connection, upgrade] of [
      ['1.0', 'upgrade', 'websocket'],
      ['1.1', 'keep-alive', 'websocket'],
      ['1.1', 'upgrade, HTTP2-Settings', 'h2c'],
      ['1.1', 'upgrade', 'H2C, h2, HTTP/2.0, ,'],
      ['1.1', 'upgrade', 'not a protocol'],
    ] as const) {
      const headers = { Connection: connection, Upgrade: upgrade, 'HTTP2-Settings': 'AAMAAABk' }
      assert.equal((await proxy.get('/', { version, headers })).status, 200)
      const asked = upstream.requests.at(-1)!
      for (const name of ['Upgrade', 'Connection', 'HTTP2-Settings']) {
        assert.equal(asked.headers.get(name), undefined, `${name} with ${upgrade}`)
      }
    }
    assert.ok(proxy.sessions.every(({ session }) => !session.isUpgradeReq))
  })

  test('leaves out HTTP/2 among others', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply(200))
    const headers: [string, string][] = [
      ['Connection', 'Upgrade'],
      ['Upgrade', 'h2c, foo/2'],
      ['Upgrade', 'WebSocket'],
    ]
    await proxy.get('/', { headers })
    assert.equal(upstream.requests[0]?.headers.get('Upgrade'), 'foo/2, WebSocket')
  })

  test('to 426 says which protocol would do', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(
      reply.raw(
        'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket, h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n',
      ),
    )
    const { headers } = await proxy.get('/')
    assert.deepEqual([headers.get('Upgrade'), headers.get('Connection')], ['websocket', 'upgrade'])
  })

  for (const [what, answer] of [
    ['a protocol that was not asked for', 'Upgrade: foo\r\nConnection: upgrade\r\n'],
    ['more than was asked for', 'Upgrade: websocket, foo\r\nConnection: upgrade\r\n'],
    ['no protocol', 'Connection: upgrade\r\n'],
    ['HTTP/2', 'Upgrade: h2c\r\nConnection: upgrade\r\n'],
  ] as const) {
    test(`to ${what} is a bad upstream`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answer(reply.raw(`HTTP/1.1 101 Switching Protocols\r\n${answer}\r\n`))
      const exchange = await proxy.request({ raw: ASK })
      assert.deepEqual([exchange.status, exchange.error?.code], [502, 'PGR_RESPONSE_INVALID'])
      assert.equal(exchange.attempts.length, 1)
      assert.equal(upstream.open, 0)
    })
  }

  test('before the end of the request is a bad upstream', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nab',
    )
    const origin = await upstream.next()
    await origin.untilText('ab')
    origin.send('HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n')
    assert.equal((await client.exchange('POST')).status, 502)
  })
})

describe('the hooks of an upgrade', () => {
  test('see which it is, and may take it back', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        requestFilter(session) {
          assert.deepEqual([session.isUpgradeReq, session.reqHeader.upgrade], [true, 'websocket'])
          session.reqHeader.upgrade = null
        },
      },
    })
    upstream.answer(reply(200, 'plain'))
    assert.equal((await proxy.request({ raw: ASK })).text, 'plain')
    const [asked] = upstream.requests
    assert.deepEqual(
      [asked?.headers.get('Upgrade'), asked?.headers.get('Connection')],
      [undefined, undefined],
    )
  })

  test('cannot ask for one that the client did not ask for', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        upstreamRequestFilter(_session, request) {
          request.upgrade = 'websocket\r\nX: y'
        },
      },
    })
    upstream.answer(reply(200))
    assert.equal((await proxy.get('/')).error?.code, 'PGR_OPTION_INVALID')
    assert.equal(upstream.requests.length, 0)
  })

  test('may refuse the answer', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        responseFilter(_session, response) {
          if (response.status === 101) throw ProxyError.httpStatus(403)
        },
      },
    })
    upstream.answer(reply.raw(GRANT))
    const exchange = await proxy.request({ raw: ASK })
    assert.deepEqual([exchange.status, upstream.open], [403, 0])
  })

  test('cannot make another answer of it, or a 101 of another', async (t) => {
    for (const [answer, status] of [
      [GRANT, 200],
      ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 101],
    ] as const) {
      const { proxy, upstream } = await testProxy(t, {
        hooks: {
          responseFilter(_session, response) {
            response.setStatus(status)
          },
        },
      })
      upstream.answer(reply.raw(answer))
      const exchange = await proxy.request({ raw: ASK })
      assert.deepEqual([exchange.status, exchange.error?.code], [500, 'PGR_RESPONSE_ORDER'])
    }
  })

  test('may wait for the answer, while what comes behind it waits too', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, {
      hooks: (it) => ({ responseFilter: () => it.sleep(100) }),
    })
    const client = await proxy.client()
    client.send(ASK)
    const origin = await upstream.next()
    await origin.request()
    origin.end(`${GRANT}first`)
    client.send('early')
    await world.advance(50)
    assert.deepEqual([client.peer.text, origin.rest], ['', ''])
    await client.peer.untilText('first', 50)
    await client.peer.untilEnded()
    await origin.untilText('early')
    client.peer.end()
    await origin.untilEnded()
  })

  test('may wait for the answer, and leave no time-out of HTTP to the tunnel', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, {
      hooks: (it) => ({ responseFilter: () => it.sleep(10) }),
    })
    // Less than what comes with the 101: some of it waits for the client when the tunnel opens.
    world.network.setLink(proxy.address, { bufferBytes: 1_000 })
    const client = await proxy.client()
    client.send(ASK)
    const origin = await upstream.next()
    await origin.request()
    client.peer.pause()
    origin.send(`${GRANT}${'x'.repeat(10_000)}`)
    await world.advance(100)
    client.peer.resume()
    await world.advance(200_000)
    assert.equal(client.peer.closed, false)
    client.peer.reset()
    await origin.untilClosed()
  })

  for (const kind of ['synchronous', 'asynchronous'] as const) {
    test(`filter what goes through the tunnel, ${kind}`, async (t) => {
      const ends: string[] = []
      const open = await tunnel(t, {
        hooks: (it) => {
          const filter = (name: string, body: Buffer | undefined, end: boolean): Buffer | null => {
            if (end) ends.push(name)
            return body === undefined ? Buffer.from(`(${name})`) : Buffer.from(`<${String(body)}>`)
          }
          const make =
            (name: string) => (_session: unknown, body: Buffer | undefined, end: boolean) => {
              const out = filter(name, body, end)
              // The end of the request itself, which has no body, adds nothing.
              const verdict = ends.length === 1 && name === 'up' && end ? null : out
              return kind === 'synchronous' ? verdict : it.sleep(10).then(() => verdict)
            }
          return { requestBodyFilter: make('up'), responseBodyFilter: make('down') }
        },
      })
      const { client, origin } = open
      client.send('a')
      await origin.untilText('<a>', 100)
      origin.end('b')
      await client.peer.untilText('<b>(down)', 100)
      client.peer.end('c')
      await origin.untilEnded(100)
      assert.equal(origin.rest, '<a><c>(up)')
      assert.deepEqual(ends, ['up', 'down', 'up'])
      await client.peer.untilClosed()
    })
  }

  test('that throw break the tunnel both ways', async (t) => {
    const { proxy, client, origin } = await tunnel(t, {
      hooks: {
        responseBodyFilter() {
          throw new Error('no')
        },
      },
    })
    origin.send('x')
    await client.peer.untilClosed()
    await origin.untilClosed()
    assert.deepEqual([client.peer.errorCode, origin.errorCode], ['ECONNRESET', 'ECONNRESET'])
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_HOOK_FAILED')
  })

  test('cannot retry what has become a tunnel', async (t) => {
    const { proxy, client, origin } = await tunnel(t, {
      hooks: {
        errorWhileProxy(_session, _peer, error) {
          error.retry = 'yes'
        },
      },
    })
    origin.reset()
    await client.peer.untilClosed()
    assert.equal(proxy.sessions[0]?.session.attempts.length, 1)
  })
})
