import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { testWorld } from '../../test/helpers/test-world.js'
import { ProxyError } from '../error/index.js'
import type { TestWorld } from '../testing/index.js'
import { withDeadline } from './with-deadline.js'
import type { DeadlineOptions } from './with-deadline.js'

interface Setup {
  readonly world: TestWorld
  readonly controller: AbortController
  readonly options: DeadlineOptions
}

function setUp(t: TestContext): Setup {
  const world = testWorld(t)
  const controller = new AbortController()
  const options: DeadlineOptions = {
    env: world.env,
    timeoutMs: 1_000,
    signal: controller.signal,
    timeoutError: () => new ProxyError('PGR_CONNECT_TIMEOUT', 'too late'),
  }
  return { world, controller, options }
}

describe('withDeadline', () => {
  test('settles as the work does', async (t) => {
    const { options } = setUp(t)
    assert.equal(await withDeadline(options, () => 1), 1)
    await assert.rejects(
      withDeadline(options, () => Promise.reject(new Error('work failed'))),
      /work failed/,
    )
  })

  test('takes a throw for a rejection', async (t) => {
    const work = (): never => {
      throw new Error('work threw')
    }
    await assert.rejects(withDeadline(setUp(t).options, work), /work threw/)
  })

  test('gives up work that takes too long, and tells it so', async (t) => {
    const { world, options } = setUp(t)
    let told: AbortSignal | undefined
    const result = withDeadline(options, (signal) => {
      told = signal
      return new Promise(() => undefined)
    })
    await assert.rejects(world.run(result), /too late/)
    assert.equal(told?.aborted, true)
    assert.equal(world.clock.nowMs(), 1_000)
  })

  test('gives up at the outer signal, also before the work has begun', async (t) => {
    const { controller, options } = setUp(t)
    const result = withDeadline(options, () => new Promise(() => undefined))
    controller.abort(new Error('stop'))
    await assert.rejects(result, /stop/)
    await assert.rejects(
      withDeadline(options, () => assert.fail('must not run')),
      /stop/,
    )
  })

  test('sets no deadline off once the work is done', async (t) => {
    const { world, controller, options } = setUp(t)
    let told: AbortSignal | undefined
    await withDeadline(options, (signal) => void (told = signal))
    assert.deepEqual(world.leftovers(), [])
    await world.advance(2_000)
    controller.abort()
    assert.equal(told?.aborted, false)
    assert.equal(world.clock.pending, 0)
  })
})
