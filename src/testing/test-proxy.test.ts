/** A proxy in a fake world is the true one, and tells what it did for each request. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ProxyError } from '../error/index.js'
import { LoadBalancer } from '../load-balancing/index.js'
import type { ProxyHttp } from '../proxy/index.js'
import { backgroundService } from '../server/index.js'
import type { BackgroundContext } from '../server/index.js'
import { HttpPeer } from '../transport/index.js'
import { reply } from './reply.js'
import { TestWorld } from './world.js'
import type { TestWorldOptions } from './world.js'

function newWorld(t: TestContext, options?: TestWorldOptions): TestWorld {
  const world = new TestWorld(options)
  t.after(async () => {
    await world.close()
    assert.deepEqual(world.leftovers(), [])
  })
  return world
}

/** Tries one upstream after the other. */
const FAILOVER: ProxyHttp = {
  newCtx: () => undefined,
  upstreamPeer: (session) => new HttpPeer(`10.0.0.${session.attempts.length + 1}:80`),
  failToConnect: (_session, _peer, error) => {
    error.retry = 'yes'
  },
}

describe('an exchange through a proxy', () => {
  test('tells the attempts, the hooks with their times, the log and the counters', async (t) => {
    const world = newWorld(t, { link: { latencyMs: 10 } })
    world.network.refuse('10.0.0.1:80')
    world.upstream('10.0.0.2:80')
    const proxy = await world.proxy(FAILOVER)
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 200)
    assert.equal(exchange.complete, true)
    const [failed, ok] = exchange.attempts
    assert.deepEqual([failed?.outcome, failed?.code], ['failed', 'PGR_CONNECT_REFUSED'])
    assert.deepEqual(ok, { peer: '10.0.0.2:80', reused: false, outcome: 'ok' })
    // 20 ms for the client to connect, 10 for the request, 20 for each connect.
    assert.deepEqual(exchange.hooks, [
      { name: 'newCtx', atMs: 30 },
      { name: 'upstreamPeer', atMs: 30 },
      { name: 'failToConnect', atMs: 50, detail: 'PGR_CONNECT_REFUSED' },
      { name: 'upstreamPeer', atMs: 50 },
    ])
    assert.equal(exchange.tookMs, 80)
    assert.deepEqual(
      exchange.logs.map(({ atMs, level, message }) => [atMs, level, message]),
      [[50, 'warn', 'retrying']],
    )
    assert.deepEqual(exchange.counters, {
      requests: 1,
      attempts: 2,
      retries: 1,
      upstreamConnectionsOpened: 1,
    })
    assert.equal(exchange.error, undefined)
  })

  test('tells the error that logging was told', async (t) => {
    const world = newWorld(t)
    const proxy = await world.proxy({ newCtx: () => undefined, upstreamPeer: () => undefined })
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 503)
    assert.equal(exchange.error?.code, 'PGR_NO_PEER')
    assert.deepEqual(exchange.attempts, [])
  })

  test('counts an attempt as failed when the hook throws that was told of its failure', async (t) => {
    const world = newWorld(t)
    const proxy = await world.proxy({
      ...FAILOVER,
      failToConnect: () => {
        throw ProxyError.httpStatus(418)
      },
    })
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 418)
    assert.deepEqual(
      exchange.attempts.map(({ outcome, code }) => [outcome, code]),
      [['failed', 'PGR_HTTP_STATUS']],
    )
  })

  test('has no hooks when newCtx throws', async (t) => {
    const world = newWorld(t)
    const proxy = await world.proxy({
      newCtx: () => {
        throw new Error('no ctx')
      },
      upstreamPeer: () => undefined,
    })
    const exchange = await proxy.get('/')
    assert.deepEqual([exchange.status, exchange.hooks], [500, []])
  })

  test('of many at once each has its own facts', async (t) => {
    const world = newWorld(t)
    world.upstream('10.0.0.1:80', { answer: (request) => reply(200, request.target) })
    const proxy = await world.proxy({
      newCtx: () => undefined,
      upstreamPeer: (session) =>
        session.reqHeader.target === '/none' ? undefined : new HttpPeer('10.0.0.1:80'),
    })
    const paths = ['/a', '/none', '/c']
    const exchanges = await Promise.all(paths.map((path) => proxy.get(path, { from: '192.0.2.7' })))
    assert.deepEqual(
      exchanges.map(({ status, attempts }) => [status, attempts.length]),
      [
        [200, 1],
        [503, 0],
        [200, 1],
      ],
    )
    assert.deepEqual(
      proxy.sessions.map(({ session, loggings }) => [session.clientIp, loggings]),
      paths.map(() => ['192.0.2.7', 1]),
    )
  })
})

describe('the life of a proxy', () => {
  test('begins behind its background services, and ends with them', async (t) => {
    const world = newWorld(t)
    const seen: string[] = []
    const task = {
      start: async ({ signal, ready }: BackgroundContext): Promise<void> => {
        seen.push('started')
        await world.sleep(500)
        seen.push(`listeners: ${world.network.listening.length}`)
        ready()
        signal.addEventListener('abort', () => seen.push('ended'))
      },
    }
    const proxy = await world.proxy(FAILOVER, { background: [backgroundService('task', task)] })
    assert.equal(world.clock.nowMs(), 500)
    await proxy.stop()
    assert.deepEqual(seen, ['started', 'listeners: 0', 'ended'])
    assert.equal(proxy.running.hasEnded, true)
  })

  test('lets requests in flight end when it stops, and takes no others', async (t) => {
    const world = newWorld(t)
    world.upstream('10.0.0.1:80', { answer: reply(200, 'late').after(5_000) })
    const proxy = await world.proxy(FAILOVER)
    const inFlight = proxy.get('/')
    await world.advance(1_000)
    const stopped = proxy.stop()
    const [exchange, late] = await Promise.all([inFlight, proxy.get('/'), stopped])
    assert.deepEqual([exchange.text, exchange.connectionOpen], ['late', false])
    assert.deepEqual([late.failure, late.status, late.connectionOpen], ['refused', 0, false])
    assert.match(late.fault, /refused/)
  })

  test('cannot begin on an address that is taken', async (t) => {
    const world = newWorld(t)
    const first = await world.proxy(FAILOVER, { listen: '10.0.0.254:0' })
    assert.match(first.address, /^10\.0\.0\.254:[1-9]\d*$/)
    const isTaken = { code: 'PGR_LISTEN_FAILED' }
    await assert.rejects(world.proxy(FAILOVER, { listen: first.address }), isTaken)
  })

  test('refuses a balancer of another world, which would check nothing of this one', async (t) => {
    const world = newWorld(t)
    const upstreams = await LoadBalancer.tryFromIter(['10.0.0.1:80'])
    await assert.rejects(world.proxy(FAILOVER, { background: upstreams }), {
      code: 'PGR_OPTION_INVALID',
      message: /upstreams is not of this world: make it with \{ env: world\.env \}/,
    })
  })

  test('an exchange is over when its last hook is, though the answer came before', async (t) => {
    const world = newWorld(t)
    world.upstream('10.0.0.1:80')
    const proxy = await world.proxy({
      ...FAILOVER,
      logging: () => undefined,
      responseBodyFilter: (_session, _piece, isEnd) =>
        isEnd ? world.sleep(10).then(() => undefined) : undefined,
    })
    const exchange = await proxy.get('/')
    assert.deepEqual([exchange.error, exchange.attempts[0]?.outcome], [undefined, 'ok'])
    assert.deepEqual(exchange.hooks.at(-1), { name: 'logging', atMs: 10 })
  })

  test('goes on while the runner has put fake timers in place', async (t) => {
    const world = newWorld(t)
    world.upstream('10.0.0.1:80')
    t.mock.timers.enable()
    const proxy = await world.proxy({ ...FAILOVER })
    assert.equal((await proxy.get('/')).status, 200)
  })

  test('takes the settings of the server and of the service', async (t) => {
    const world = newWorld(t)
    const proxy = await world.proxy(FAILOVER, {
      conf: { maxRetries: 2 },
      options: { limits: { maxRequestLineBytes: 20 } },
    })
    const refused = await proxy.get('/')
    assert.deepEqual([refused.status, refused.attempts.length], [502, 2])
    assert.equal((await proxy.get('/a-rather-long-path')).status, 414)
  })

  test('a client that cannot reach it is told after two minutes', async (t) => {
    const world = newWorld(t)
    const proxy = await world.proxy(FAILOVER)
    world.network.blackhole(proxy.address)
    const exchange = await proxy.get('/')
    assert.deepEqual([exchange.failure, exchange.connectionOpen], ['timeout', false])
    await assert.rejects(proxy.client(), { code: 'PGR_CONNECT_TIMEOUT' })
    world.network.heal(proxy.address)
    assert.equal((await proxy.get('/')).status, 502)
  })
})
