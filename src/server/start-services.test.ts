import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { NEVER, serviceDiary } from '../../test/helpers/service-diary.js'
import type { ServiceDiary } from '../../test/helpers/service-diary.js'
import { backgroundService } from './background-service.js'
import { runServices } from './run-services.js'
import { ServiceGraph } from './service-graph.js'

interface Start extends ServiceDiary {
  readonly graph: ServiceGraph
  /** Runs what is in the graph; `ready` and delays go to the diary. */
  readonly run: () => Promise<void>
  /** A service whose `start` takes `ms`. */
  readonly slow: (name: string, ms: number, startsFirst?: boolean) => ReturnType<Start['service']>
}

function setUp(t: TestContext): Start {
  const parts = serviceDiary(t)
  const { world, context, diary, service, stop } = parts
  const graph = new ServiceGraph()
  return {
    ...parts,
    graph,
    run: () =>
      runServices(graph, context, stop, () => diary.push('ready'), {
        onStartupDelay: (name, waitedMs) => diary.push(`${name} waited ${waitedMs}`),
      }),
    slow: (name, ms, startsFirst = false) =>
      service(name, {
        startsFirst,
        start: async () => {
          await world.sleep(ms)
          diary.push(`${name} is ready`)
        },
      }),
  }
}

describe('services with dependencies', () => {
  test('start when what they depend on is ready, and stop before it', async (t) => {
    const { world, graph, diary, service, slow, stop, run } = setUp(t)
    const proxy = graph.add(service('proxy'))
    const store = graph.add(slow('store', 300))
    const cache = graph.add(slow('cache', 100))
    proxy.addDependency(cache)
    cache.addDependency(store)
    const running = run()
    await world.advance(399)
    assert.deepEqual(diary, ['store is ready'])
    await world.advance(1)
    assert.deepEqual(diary.splice(0), ['store is ready', 'cache is ready', 'proxy starts', 'ready'])
    stop.request('graceful')
    await running
    const order = ['proxy', 'cache', 'store']
    assert.deepEqual(diary, [
      ...order.map((name) => `${name} stops`),
      ...order.map((name) => `${name} ends`),
    ])
  })

  test('wait longer than the second that others wait for what starts first', async (t) => {
    const { world, graph, diary, service, slow, stop, run } = setUp(t)
    const discovery = graph.add(slow('discovery', 2_500, true))
    graph.add(service('proxy')).addDependency(discovery)
    graph.add(service('admin'))
    const running = run()
    await world.advance(2_499)
    assert.deepEqual(diary.splice(0), [
      'warn: not all background services were ready within 1000 ms',
      'admin starts',
      'warn: proxy waits for discovery',
    ])
    await world.advance(1)
    // The proxy's turn came after the second that all had waited.
    assert.deepEqual(diary, ['discovery is ready', 'proxy waited 1500', 'proxy starts', 'ready'])
    stop.request('immediate')
    await running
  })

  test('are named in the log when they have waited, unless the program wants to be told', async (t) => {
    const { world, context, graph, service, slow, stop } = setUp(t)
    const log: string[] = []
    const logger = { ...context.logger, info: (message: string) => log.push(message) }
    const discovery = graph.add(slow('discovery', 2_500, true))
    graph.add(service('proxy')).addDependency(discovery)
    const running = runServices(graph, { ...context, logger }, stop, () => undefined)
    await world.advance(2_500)
    assert.deepEqual(log, ['proxy waited 1500 ms for what it depends on'])
    stop.request('immediate')
    await running
  })

  test('count a background task as ready when it says so', async (t) => {
    const { world, graph, diary, service, stop, run } = setUp(t)
    let ready = (): void => undefined
    const task = {
      start: (context: { ready: () => void }): Promise<void> => {
        ready = context.ready
        return NEVER
      },
    }
    const background = graph.add(backgroundService('discovery', task))
    graph.add(service('proxy')).addDependency(background)
    const running = run()
    await world.advance(1_500)
    assert.deepEqual(diary.splice(0).length, 1)
    ready()
    await world.idle()
    assert.deepEqual(diary, ['proxy starts', 'ready'])
    stop.request('immediate')
    await running
  })

  test('do not start when what they depend on fails, which ends the start with its reason', async (t) => {
    const { world, graph, diary, service, run } = setUp(t)
    const store = graph.add(
      service('store', {
        startsFirst: true,
        start: async () => {
          await world.sleep(1_200)
          throw new Error('no store')
        },
      }),
    )
    graph.add(service('proxy')).addDependency(store)
    const running = run()
    running.catch(() => undefined)
    await world.advance(1_200)
    await assert.rejects(running, /^Error: no store$/)
    await world.idle()
    assert.deepEqual(diary, [
      'warn: not all background services were ready within 1000 ms',
      'proxy ends',
      'store ends',
    ])
    assert.equal(world.clock.pending, 0)
  })

  test('do not start any more when a stop comes while they wait', async (t) => {
    const { world, graph, diary, service, stop, run } = setUp(t)
    const store = graph.add(service('store', { start: () => NEVER }))
    graph.add(service('proxy')).addDependency(store)
    const running = run()
    await world.idle()
    stop.request('immediate')
    await running
    await world.idle()
    assert.deepEqual(diary, ['proxy ends', 'store ends'])
    assert.equal(world.clock.pending, 0)
  })

  test('that start first and fail when all others serve are logged', async (t) => {
    const { world, graph, diary, service, stop, run } = setUp(t)
    const start = async (): Promise<void> => {
      await world.sleep(1_500)
      throw new Error('too late')
    }
    graph.add(service('checks', { startsFirst: true, start }))
    const running = run()
    await world.advance(1_500)
    assert.deepEqual(diary.slice(1), ['ready', 'error: checks could not start: too late'])
    stop.request('immediate')
    await running
  })
})
