import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NEVER, serviceDiary as setUp } from '../../test/helpers/service-diary.js'
import { backgroundService } from './background-service.js'
import { runServices } from './run-services.js'

describe('runServices', () => {
  test('starts what others need first, and stops it last', async (t) => {
    const { context, diary, service, stop } = setUp(t)
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

  test('does not wait for background services longer than a second', async (t) => {
    const { world, context, diary, service, stop } = setUp(t)
    const slow = service('checks', { startsFirst: true, start: () => NEVER })
    const run = runServices([slow, service('proxy')], context, stop, () => diary.push('ready'))
    await world.advance(999)
    assert.deepEqual(diary, [])
    await world.advance(1)
    assert.deepEqual(diary.slice(1), ['proxy starts', 'ready'])
    assert.match(diary[0]!, /^warn: not all background services were ready within 1000 ms/)
    stop.request('immediate')
    await run
    assert.equal(world.clock.pending, 0)
  })

  test('an immediate stop waits for nothing', async (t) => {
    const { context, diary, service, stop } = setUp(t)
    await runServices([service('proxy', { stop: () => NEVER })], context, stop, () => {
      stop.request('immediate')
    })
    assert.deepEqual(diary, ['proxy starts', 'proxy ends'])
  })

  test('a graceful stop ends with the grace period at the latest', async (t) => {
    const { world, context, diary, service, stop } = setUp(t, { gracePeriodSeconds: 5 })
    const run = runServices(
      [service('proxy', { stop: () => NEVER })],
      context,
      stop,
      () => undefined,
    )
    await world.idle()
    stop.request('graceful')
    await world.advance(4_999)
    assert.deepEqual(diary, ['proxy starts'])
    await world.advance(1)
    await run
    assert.deepEqual(diary, [
      'proxy starts',
      'warn: the grace period is over: what is still in flight is cut',
      'proxy ends',
    ])
  })

  test('a second request to stop ends the grace period', async (t) => {
    const { world, context, diary, service, stop } = setUp(t)
    const run = runServices(
      [service('proxy', { stop: () => NEVER })],
      context,
      stop,
      () => undefined,
    )
    await world.idle()
    stop.request('graceful')
    await world.idle()
    stop.request('graceful')
    await run
    assert.deepEqual(diary, ['proxy starts', 'proxy ends'])
    assert.equal(world.clock.pending, 0)
  })

  test('a stop during the start keeps later services from starting', async (t) => {
    const { world, context, diary, service, stop } = setUp(t)
    const slow = service('checks', { startsFirst: true, start: () => NEVER })
    const run = runServices([slow, service('proxy')], context, stop, () => diary.push('ready'))
    await world.idle()
    stop.request('immediate')
    await run
    await world.idle()
    assert.deepEqual(diary, ['checks ends', 'proxy ends'])
  })

  test('ends all services when one cannot start, and passes the reason on', async (t) => {
    const { context, diary, service, stop } = setUp(t)
    const broken = service('b', { start: () => Promise.reject(new Error('port taken')) })
    const services = [service('a'), broken, service('c')]
    await assert.rejects(
      runServices(services, context, stop, () => undefined),
      /port taken/,
    )
    assert.deepEqual(diary, ['a starts', 'a ends', 'b ends', 'c ends'])
  })

  test('a service that fails to stop or end keeps no other from it', async (t) => {
    const { context, diary, service, stop } = setUp(t)
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

  test('waits for what ends later, such as a thread, but a second at most', async (t) => {
    const { world, context, diary, service, stop } = setUp(t)
    const late = service('late', { destroy: () => world.sleep(999) })
    stop.request('immediate')
    await world.run(runServices([late], context, stop, () => undefined))
    assert.deepEqual([diary, world.clock.nowMs()], [[], 999])
    const stuck = service('stuck', { destroy: () => NEVER })
    await world.run(runServices([stuck, service('proxy')], context, stop, () => undefined))
    assert.deepEqual(diary, ['proxy ends', 'warn: not all services had ended within 1000 ms'])
  })

  test('a background task that fails counts as ready and is logged', async (t) => {
    const { context, diary, service, stop } = setUp(t)
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

  test('a background task is told to end by its signal, and its end is waited for', async (t) => {
    const { world, context, diary, stop } = setUp(t)
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
        await world.sleep(10)
        diary.push('task over')
        signal.throwIfAborted()
      },
    }
    const background = backgroundService('checks', task)
    assert.equal(background.task, task)
    const run = runServices([background], context, stop, () => {
      stop.request('graceful')
    })
    await world.run(run)
    assert.deepEqual([diary, world.clock.nowMs()], [['task over'], 10])
  })
})
