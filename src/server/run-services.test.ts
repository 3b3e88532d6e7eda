import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counters, SILENT_LOGGER } from '../observability/index.js'
import { ManualClock } from '../time/index.js'
import { REAL_ENVIRONMENT } from '../transport/index.js'
import { backgroundService } from './background-service.js'
import { runServices } from './run-services.js'
import { ServerConf } from './server-conf.js'
import type { Service, ServiceContext } from './service.js'
import { StopControl } from './stop-control.js'

/** A run on a clock that stands still, and a diary of what happened. */
function setUp(options: { readonly gracePeriodSeconds?: number } = {}) {
  const clock = new ManualClock()
  const diary: string[] = []
  const context: ServiceContext = {
    env: { ...REAL_ENVIRONMENT, clock },
    configuration: new ServerConf(options),
    logger: {
      ...SILENT_LOGGER,
      warn: (message) => diary.push(`warn: ${message}`),
      error: (message) => diary.push(`error: ${message}`),
    },
    counters: new Counters(),
  }
  const stop = new StopControl()
  const service = (name: string, parts: Partial<Service> = {}): Service => ({
    name,
    start: () => {
      diary.push(`${name} starts`)
      return Promise.resolve()
    },
    stop: () => {
      diary.push(`${name} stops`)
      return Promise.resolve()
    },
    destroy: () => {
      diary.push(`${name} ends`)
    },
    ...parts,
  })
  return { clock, context, diary, service, stop }
}

/** Lets all promises that can settle without outside help do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}

const NEVER = new Promise<never>(() => undefined)

describe('runServices', () => {
  test('starts what others need first, and stops it last', async () => {
    const { context, diary, service, stop } = setUp()
    const services = [service('proxy'), service('checks', { startsFirst: true })]
    await runServices(services, context, stop, () => {
      diary.push('ready')
      stop.request('graceful')
    })
    assert.deepEqual(diary, [
      'checks starts',
      'proxy starts',
      'ready',
      'proxy stops',
      'checks stops',
      'proxy ends',
      'checks ends',
    ])
  })

  test('does not wait for background services longer than a second', async () => {
    const { clock, context, diary, service, stop } = setUp()
    const slow = service('checks', { startsFirst: true, start: () => NEVER })
    const run = runServices([slow, service('proxy')], context, stop, () => diary.push('ready'))
    await settle()
    clock.advance(999)
    await settle()
    assert.deepEqual(diary, [])
    clock.advance(1)
    await settle()
    assert.deepEqual(diary.slice(1), ['proxy starts', 'ready'])
    assert.match(diary[0]!, /^warn: not all background services were ready within 1000 ms/)
    stop.request('immediate')
    await run
    assert.equal(clock.pending, 0)
  })

  test('an immediate stop waits for nothing', async () => {
    const { context, diary, service, stop } = setUp()
    await runServices([service('proxy', { stop: () => NEVER })], context, stop, () => {
      stop.request('immediate')
    })
    assert.deepEqual(diary, ['proxy starts', 'proxy ends'])
  })

  test('a graceful stop ends with the grace period at the latest', async () => {
    const { clock, context, diary, service, stop } = setUp({ gracePeriodSeconds: 5 })
    const run = runServices(
      [service('proxy', { stop: () => NEVER })],
      context,
      stop,
      () => undefined,
    )
    await settle()
    stop.request('graceful')
    await settle()
    clock.advance(4_999)
    await settle()
    assert.deepEqual(diary, ['proxy starts'])
    clock.advance(1)
    await run
    assert.deepEqual(diary, [
      'proxy starts',
      'warn: the grace period is over: what is still in flight is cut',
      'proxy ends',
    ])
  })

  test('a second request to stop ends the grace period', async () => {
    const { clock, context, diary, service, stop } = setUp()
    const run = runServices(
      [service('proxy', { stop: () => NEVER })],
      context,
      stop,
      () => undefined,
    )
    await settle()
    stop.request('graceful')
    await settle()
    stop.request('graceful')
    await run
    assert.deepEqual(diary, ['proxy starts', 'proxy ends'])
    assert.equal(clock.pending, 0)
  })

  test('a stop during the start keeps later services from starting', async () => {
    const { context, diary, service, stop } = setUp()
    const slow = service('checks', { startsFirst: true, start: () => NEVER })
    const run = runServices([slow, service('proxy')], context, stop, () => diary.push('ready'))
    await settle()
    stop.request('immediate')
    await run
    await settle()
    assert.deepEqual(diary, ['checks ends', 'proxy ends'])
  })

  test('ends all services when one cannot start, and passes the reason on', async () => {
    const { context, diary, service, stop } = setUp()
    const broken = service('b', { start: () => Promise.reject(new Error('port taken')) })
    const services = [service('a'), broken, service('c')]
    await assert.rejects(
      runServices(services, context, stop, () => undefined),
      /port taken/,
    )
    assert.deepEqual(diary, ['a starts', 'a ends', 'b ends', 'c ends'])
  })

  test('a service that fails to stop or end keeps no other from it', async () => {
    const { context, diary, service, stop } = setUp()
    const broken = service('a', {
      stop: () => Promise.reject(new Error('stuck')),
      destroy: () => {
        throw new Error('stuck too')
      },
    })
    await runServices([broken, service('b')], context, stop, () => {
      stop.request('graceful')
    })
    assert.deepEqual(diary, [
      'a starts',
      'b starts',
      'b stops',
      'error: stopping: stuck',
      'error: ending a: stuck too',
      'b ends',
    ])
  })

  test('a background task that fails counts as ready and is logged', async () => {
    const { context, diary, service, stop } = setUp()
    const task = { start: () => Promise.reject(new Error('no discovery')) }
    await runServices([backgroundService('checks', task), service('proxy')], context, stop, () => {
      stop.request('immediate')
    })
    assert.deepEqual(diary, [
      'error: background service checks failed: no discovery',
      'proxy starts',
      'proxy ends',
    ])
  })

  test('a background task is told to end by its signal, and its end is waited for', async () => {
    const { context, diary, stop } = setUp()
    const task = {
      start: async ({
        signal,
        ready,
      }: {
        signal: AbortSignal
        ready: () => void
      }): Promise<void> => {
        ready()
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
        await settle()
        diary.push('task over')
        signal.throwIfAborted()
      },
    }
    const background = backgroundService('checks', task)
    assert.equal(background.task, task)
    await runServices([background], context, stop, () => {
      stop.request('graceful')
    })
    assert.deepEqual(diary, ['task over'])
  })
})
