import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ServerHttp2Stream, SessionOptions } from 'node:http2'
import type { Exchange, TestProxy, TestWorld } from '../../src/testing/index.js'
import type { HttpProxyServiceOptions } from '../../src/proxy/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import type { PeerOptions } from '../../src/transport/index.js'
import { H2Upstream } from '../helpers/h2-upstream.js'
import { NOWHERE, testProxy } from '../helpers/test-world.js'

const ORIGIN = '10.0.0.3:80'

/** Requests under way. */
interface Asked {
  readonly exchanges: Promise<Exchange[]>
}

interface Setup {
  readonly world: TestWorld
  readonly proxy: TestProxy
  readonly upstream: H2Upstream
  /** Streams that nobody has answered yet. */
  readonly waiting: ServerHttp2Stream[]
  /** Sends `count` requests, which wait for their answers. */
  ask(count: number): Promise<Asked>
  /** Answers all that wait. */
  answerAll(): void
}

async function setup(
  t: TestContext,
  peer: PeerOptions,
  session: SessionOptions = {},
  options: HttpProxyServiceOptions = {},
): Promise<Setup> {
  const waiting: ServerHttp2Stream[] = []
  const { world, proxy } = await testProxy(t, {
    options,
    hooks: { upstreamPeer: () => new HttpPeer(ORIGIN, peer) },
  })
  const upstream = new H2Upstream(world.network, ORIGIN, (stream) => waiting.push(stream), session)
  world.atClose(() => upstream.close())
  const ask = async (count: number): Promise<Asked> => {
    const exchanges = Promise.all(Array.from({ length: count }, () => proxy.get('/')))
    exchanges.catch(() => undefined)
    await world.until(() => waiting.length >= count, `${count} requests`, 1_000)
    return { exchanges }
  }
  const answerAll = (): void => {
    for (const stream of waiting.splice(0)) {
      stream.respond({ ':status': 200 })
      stream.end('ok')
    }
  }
  return { world, proxy, upstream, waiting, ask, answerAll }
}

async function finish({ exchanges }: Asked): Promise<number[]> {
  return (await exchanges).map(({ status }) => status)
}

describe('connections to HTTP/2 upstreams', () => {
  test('carry as many requests at once as the peer options say', async (t) => {
    const { upstream, ask, answerAll, world } = await setup(t, { protocol: 'h2c', maxH2Streams: 3 })
    const asked = await ask(7)
    assert.equal(upstream.sessions.length, 3)
    answerAll()
    assert.deepEqual(await finish(asked), new Array(7).fill(200))
    const again = await ask(9)
    assert.equal(upstream.sessions.length, 3)
    answerAll()
    await finish(again)
    assert.equal(world.counters.get('upstreamConnectionsOpened'), 3)
    assert.equal(world.counters.get('upstreamConnectionsReused'), 9)
  })

  test('carry one request at once by default', async (t) => {
    const { upstream, ask, answerAll } = await setup(t, { protocol: 'h2c' })
    const asked = await ask(2)
    assert.equal(upstream.sessions.length, 2)
    answerAll()
    await finish(asked)
  })

  test('carry no more than the peer allows, also when they were opened for more', async (t) => {
    const session = { settings: { maxConcurrentStreams: 2 } }
    const { upstream, ask, answerAll } = await setup(
      t,
      { protocol: 'h2c', maxH2Streams: 100 },
      session,
    )
    const asked = await ask(5)
    assert.equal(upstream.sessions.length, 3)
    answerAll()
    assert.deepEqual(await finish(asked), new Array(5).fill(200))
  })

  test('are opened once for requests that come together', async (t) => {
    const { upstream, ask, answerAll } = await setup(t, { protocol: 'h2c', maxH2Streams: 100 })
    const asked = await ask(50)
    assert.equal(upstream.sessions.length, 1)
    answerAll()
    await finish(asked)
  })

  test('are not opened for clients that have left', async (t) => {
    const peer: PeerOptions = { protocol: 'h2c', maxH2Streams: 100, connectTimeoutMs: 60_000 }
    const { world, proxy, upstream } = await setup(t, peer)
    world.network.blackhole(ORIGIN)
    const clients = [await proxy.client(), await proxy.client()]
    for (const client of clients) client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await world.idle()
    for (const client of clients) client.peer.reset()
    await world.idle()
    world.network.heal(ORIGIN)
    await world.advance(2_000)
    assert.deepEqual([upstream.sessions.length, world.counters.get('requests')], [0, 2])
  })

  test('fail for all that wait, each with an error of its own', async (t) => {
    const errors: unknown[] = []
    const { proxy } = await testProxy(t, {
      hooks: {
        upstreamPeer: () => new HttpPeer(NOWHERE, { protocol: 'h2c', maxH2Streams: 10 }),
        failToConnect: (_session, _peer, error) => {
          errors.push(error)
        },
      },
    })
    const exchanges = await Promise.all([proxy.get('/'), proxy.get('/'), proxy.get('/')])
    assert.deepEqual(
      exchanges.map(({ status, error }) => [status, error?.code]),
      [
        [502, 'PGR_CONNECT_REFUSED'],
        [502, 'PGR_CONNECT_REFUSED'],
        [502, 'PGR_CONNECT_REFUSED'],
      ],
    )
    assert.equal(new Set(errors).size, 3)
  })

  test('close after their idle time', async (t) => {
    const { world, upstream, ask, answerAll } = await setup(t, {
      protocol: 'h2c',
      idleTimeoutMs: 5_000,
    })
    const asked = await ask(1)
    answerAll()
    await finish(asked)
    await world.advance(4_900)
    assert.equal(upstream.openSessions, 1)
    await world.advance(150)
    assert.equal(upstream.openSessions, 0)
  })

  test('are not kept with an idle time of 0', async (t) => {
    const { world, upstream, ask, answerAll } = await setup(t, {
      protocol: 'h2c',
      idleTimeoutMs: 0,
    })
    const asked = await ask(1)
    answerAll()
    await finish(asked)
    await world.idle()
    assert.equal(upstream.openSessions, 0)
  })

  test('are kept idle in a limited number, the latest ones', async (t) => {
    const options = { maxIdleUpstreams: 1 }
    const { world, upstream, ask, answerAll } = await setup(t, { protocol: 'h2c' }, {}, options)
    const asked = await ask(3)
    answerAll()
    await finish(asked)
    await world.idle()
    assert.deepEqual([upstream.sessions.length, upstream.openSessions], [3, 1])
  })

  test('are taken out as soon as the peer says that it goes away, even when idle', async (t) => {
    const { world, upstream, ask, answerAll } = await setup(t, {
      protocol: 'h2c',
      maxH2Streams: 10,
    })
    const first = await ask(1)
    answerAll()
    await finish(first)
    upstream.sessions[0]?.close()
    await world.idle()
    const second = await ask(1)
    assert.equal(upstream.sessions.length, 2)
    answerAll()
    assert.deepEqual(await finish(second), [200])
    assert.equal(world.counters.get('retries'), 0)
  })

  test('end with a graceful stop, once what they carry is answered', async (t) => {
    const { world, proxy, upstream, ask, answerAll } = await setup(t, { protocol: 'h2c' })
    const asked = await ask(1)
    const stopped = proxy.stop()
    await world.idle()
    assert.equal(upstream.openSessions, 1)
    answerAll()
    assert.deepEqual(await finish(asked), [200])
    await stopped
    await world.idle()
    assert.equal(upstream.openSessions, 0)
  })
})

describe('HTTP/2 over TLS', () => {
  const TLS: PeerOptions = { tls: true, sni: 'a.example' }

  async function tlsSetup(
    t: TestContext,
    peer: PeerOptions,
    alpn: readonly string[],
  ): Promise<Setup> {
    const made = await setup(t, { ...TLS, ...peer })
    made.world.network.serveTls(ORIGIN, { names: ['a.example'], alpn })
    return made
  }

  test('is agreed on by ALPN', async (t) => {
    for (const protocol of ['h2', 'auto'] as const) {
      const { ask, answerAll, upstream, proxy } = await tlsSetup(t, { protocol }, [
        'h2',
        'http/1.1',
      ])
      const asked = await ask(1)
      assert.equal(upstream.requests[0]?.headers[':scheme'], 'https')
      answerAll()
      assert.deepEqual(await finish(asked), [200])
      assert.equal(proxy.sessions[0]?.session.upstreamDigest?.tls?.alpn, 'h2')
    }
  })

  test('is a 502 where it is asked for and not spoken', async (t) => {
    for (const alpn of [[], ['http/1.1']]) {
      const { proxy } = await tlsSetup(t, { protocol: 'h2' }, alpn)
      const { status, error } = await proxy.get('/')
      assert.equal(status, 502)
      assert.ok(['PGR_UPSTREAM_H2_ERROR', 'PGR_TLS_HANDSHAKE_FAILED'].includes(error?.code ?? ''))
    }
  })

  test('falls back to HTTP/1.1, and remembers that', async (t) => {
    const offered: (readonly string[])[] = []
    const { world, proxy, upstream } = await testProxy(t, {
      hooks: (own) => {
        const { network } = own.env
        const startTls = network.startTls.bind(network)
        network.startTls = (connection, options, signal) => {
          offered.push(options.alpn)
          return startTls(connection, options, signal)
        }
        return {}
      },
      peer: { ...TLS, protocol: 'auto', maxH2Streams: 100 },
    })
    world.network.serveTls(upstream.address, { names: ['a.example'], alpn: ['http/1.1'] })
    upstream.answer((request, origin) => {
      origin.send(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ${request.method}\r\n\r\n`)
    })
    const exchanges = await Promise.all([proxy.get('/'), proxy.get('/'), proxy.get('/')])
    assert.deepEqual(
      exchanges.map(({ status }) => status),
      [200, 200, 200],
    )
    // The three waited together for the first handshake, then each had one of its own.
    const both = ['h2', 'http/1.1']
    assert.deepEqual(offered, [both, ['http/1.1'], ['http/1.1']])
    assert.equal((await proxy.get('/')).attempts[0]?.reused, true)
    await world.advance(300_000)
    assert.equal((await proxy.get('/')).status, 200)
    assert.deepEqual(offered.slice(3), [both])
  })
})
