import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { LoadBalancer, TcpHealthCheck } from '../load-balancing/index.js'
import type { ProxyHttp } from '../proxy/index.js'
import { backgroundService } from '../server/index.js'
import type { Service } from '../server/index.js'
import { HttpPeer } from '../transport/index.js'
import { reply } from './reply.js'
import { TestWorld } from './world.js'
import type { TestWorldOptions } from './world.js'

const BACKEND = '10.0.0.1:80'

describe('TestWorld', () => {
  test('serves a request with the true proxy, and leaves nothing behind', async (t) => {
    const world = worldOf(t)
    world.upstream(BACKEND, { answer: reply(200, 'hello') })
    const proxy = await world.proxy(toBackend())
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 200)
    assert.equal(exchange.text, 'hello')
    assert.ok(world.log.some(({ message }) => message.includes('listening on 10.0.0.254:80')))
    assert.ok(world.trace.some((line) => line.includes('connect')))
    assert.ok(world.leftovers().length > 0, 'the listener and the pooled connection')
    await world.close()
    assert.deepEqual(world.leftovers(), [])
  })

  test('time passes only as far as it must', async (t) => {
    const world = worldOf(t, { link: { latencyMs: 10 } })
    world.upstream(BACKEND)
    const proxy = await world.proxy(toBackend())
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 200)
    assert.ok(world.clock.nowMs() >= 60, `${world.clock.nowMs()} ms`)
    assert.ok(world.clock.nowMs() <= 200, `${world.clock.nowMs()} ms`)
  })

  test('two requests at once share the way through the world', async (t) => {
    const world = worldOf(t)
    world.upstream(BACKEND, { answer: reply(200, 'late').after(500) })
    const proxy = await world.proxy(toBackend())
    const exchanges = await Promise.all([proxy.get('/a'), proxy.get('/b')])
    assert.deepEqual(
      exchanges.map(({ status }) => status),
      [200, 200],
    )
    assert.equal(world.clock.nowMs(), 500)
  })

  test('waits for compression and other jobs without letting time pass', async (t) => {
    const world = worldOf(t)
    world.upstream(BACKEND)
    const proxy = await world.proxy({
      ...toBackend(),
      requestFilter: async () => {
        await promisify(gzip)(Buffer.alloc(2_000_000, 'abc'))
      },
    })
    const exchange = await proxy.get('/')
    assert.equal(exchange.status, 200)
    assert.equal(world.clock.nowMs(), 0)
  })

  test('hooks sleep in virtual time', async (t) => {
    const world = worldOf(t)
    world.upstream(BACKEND)
    const proxy = await world.proxy({
      ...toBackend(),
      requestFilter: async () => {
        await world.sleep(30_000)
      },
    })
    const pending = proxy.get('/')
    await world.advance(29_999)
    assert.equal(world.counters.get('attempts'), 0)
    assert.equal((await pending).status, 200)
    assert.equal(world.clock.nowMs(), 30_000)
  })

  test('says what was waited for, when, and what happened last', async (t) => {
    const world = worldOf(t)
    for (let line = 1; line <= 30; line++) world.note(`event ${line}`)
    for (let line = 1; line <= 12; line++) world.logger.warn(`warning ${line}`, { line })
    const waiting = world.until(() => false, 'the backend to come back', 250)
    await assert.rejects(waiting, (error: Error) => {
      const lines = error.message.split('\n')
      assert.equal(
        lines[0],
        'waited in vain for the backend to come back: it did not come by 250 ms',
      )
      assert.equal(lines[1], 'virtual time: 250 ms')
      assert.equal(lines[2], 'last 20 of 42 events:')
      assert.equal(lines[3], '  0 event 23')
      assert.equal(lines[22], '  0 warn warning 12 line=12')
      assert.equal(lines[23], 'last 10 of 12 log lines:')
      assert.equal(lines.at(-1), '  0 warn warning 12 line=12')
      assert.match(error.stack ?? '', /world\.test/)
      return true
    })
  })

  test('balances over backends that are checked, while one dies and comes back', async (t) => {
    const world = worldOf(t)
    const backends = ['10.0.0.1:80', '10.0.0.2:80'].map((address) => world.upstream(address))
    const { env } = world
    const balancer = await world.run(
      LoadBalancer.tryFromIter(
        backends.map(({ address }) => address),
        { env },
      ),
    )
    balancer.setHealthCheck(new TcpHealthCheck({ env }))
    balancer.healthCheckFrequencyMs = 1_000
    const upstreamPeer = (): HttpPeer | undefined => {
      const backend = balancer.select('', 256)
      return backend && new HttpPeer(backend)
    }
    const proxy = await world.proxy({ newCtx: () => {}, upstreamPeer }, { background: balancer })
    const answers = async (): Promise<string[]> => {
      const exchanges = [await proxy.get('/'), await proxy.get('/')]
      return exchanges.map(({ text }) => text).sort()
    }
    assert.deepEqual(await answers(), ['10.0.0.1:80', '10.0.0.2:80'])
    backends[0]!.down()
    await world.advance(1_000)
    assert.deepEqual(await answers(), ['10.0.0.2:80', '10.0.0.2:80'])
    backends[0]!.up()
    await world.advance(2_000)
    assert.deepEqual(await answers(), ['10.0.0.1:80', '10.0.0.2:80'])
    await world.close()
    assert.deepEqual(world.leftovers(), [])
  })

  test('names what the code under test forgets to close', async (t) => {
    const world = worldOf(t)
    const { env } = world
    const upstream = world.upstream(BACKEND)
    const address = { kind: 'ip', host: '10.0.0.1', port: 80 } as const
    await world.run(env.network.dial(address, {}))
    await world.run(env.network.listen({ ...address, host: '10.0.0.9' }, {}, () => undefined))
    env.clock.schedule(5_000, () => undefined)
    env.clock.schedule(5_000, () => undefined).cancel()
    env.deadlines.deadline(() => undefined).set(7_000)
    const cleared = env.deadlines.deadline(() => undefined)
    cleared.set(7_000)
    cleared.clear()
    upstream.blackhole()
    const abort = new AbortController()
    env.network.dial(address, { signal: abort.signal }).catch(() => undefined)
    await world.close()
    const leftovers = world.leftovers()
    assert.equal(leftovers.length, 5, leftovers.join('; '))
    assert.match(leftovers[0]!, /^a connection from 10\.255\.0\.1:\d+ to 10\.0\.0\.1:80$/)
    assert.equal(leftovers[1], 'a listener on 10.0.0.9:80')
    assert.equal(leftovers[2], 'a dial of 10.0.0.1:80')
    assert.equal(leftovers[3], 'a timer due at 5000 ms')
    assert.equal(leftovers[4], 'a time-out set for 7000 ms')
  })

  test('logs and counts what calls of the clock throw, and goes on', async (t) => {
    const world = worldOf(t)
    world.clock.schedule(10, () => {
      throw new Error('of a timer')
    })
    await world.advance(100)
    assert.deepEqual(world.uncaught.map(String), ['Error: of a timer'])
    assert.equal(world.counters.get('uncaughtErrors'), 1)
    const [record] = world.log
    assert.equal(record?.atMs, 10)
    assert.equal(record.level, 'error')
    assert.match(record.message, /uncaught exception: .*of a timer/)
  })

  test('a fault of the test that no wait has told is told when the world closes', async () => {
    const world = new TestWorld()
    world.fail(new Error('of a script'))
    await assert.rejects(world.close(), /of a script/)
    await assert.rejects(world.idle(), /the world is closed/)
    await assert.rejects(world.close(), /of a script/)
  })

  test('closes what was registered, the last one first', async () => {
    const world = new TestWorld()
    const closed: string[] = []
    world.atClose(() => void closed.push('first'))
    const forget = world.atClose(() => void closed.push('forgotten'))
    world.atClose(async () => {
      await Promise.resolve()
      closed.push('second')
    })
    forget()
    await world.close()
    await world.close()
    assert.deepEqual(closed, ['second', 'first'])
  })

  test('a service that cannot start is told, and closing goes on', async (t) => {
    const world = worldOf(t)
    const failing: Service = {
      name: 'failing',
      start: () => Promise.reject(new Error('no start')),
      stop: () => Promise.resolve(),
      destroy: () => undefined,
    }
    await assert.rejects(world.serve([failing]), /no start/)
    await world.close()
  })

  test('a graceful stop lets background tasks end, and time pass only as needed', async (t) => {
    const world = worldOf(t)
    const task = {
      start: async ({ signal, ready }: { signal: AbortSignal; ready: () => void }) => {
        ready()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        await world.sleep(2_000)
      },
    }
    const running = await world.serve([backgroundService('task', task)])
    assert.equal(running.hasEnded, false)
    await running.stop()
    assert.equal(running.hasEnded, true)
    assert.equal(world.clock.nowMs(), 2_000)
    await running.ended
    await running.stop('immediate')
  })

  test('equal seeds give equal worlds, and other seeds others', async () => {
    const traceOfSeed = async (seed: number): Promise<readonly string[]> => {
      const world = new TestWorld({ seed, link: { split: 'random', latencyMs: 3 } })
      world.upstream(BACKEND, { answer: reply(200, 'x'.repeat(300), { chunked: [7, 100] }) })
      const proxy = await world.proxy(toBackend())
      await Promise.all([proxy.get('/a'), proxy.get('/b')])
      await world.close()
      return world.trace
    }
    const first = await traceOfSeed(4)
    assert.ok(first.length > 20)
    assert.deepEqual(await traceOfSeed(4), first)
    assert.notDeepEqual(await traceOfSeed(5), first)
  })

  test('writes no trace when told not to', async (t) => {
    const world = worldOf(t, { traces: false })
    world.note('something')
    world.logger.info('a line')
    assert.deepEqual(world.trace, [])
    assert.equal(world.log.length, 1)
    assert.equal(world.logSince(0).length, 1)
    await world.idle()
  })
})

function worldOf(t: TestContext, options: TestWorldOptions = {}): TestWorld {
  const world = new TestWorld(options)
  t.after(() => world.close())
  return world
}

function toBackend(): ProxyHttp<void> {
  return { newCtx: () => {}, upstreamPeer: () => new HttpPeer(BACKEND) }
}
