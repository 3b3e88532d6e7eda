import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { scriptedEnvironment } from '../../test/helpers/scripted-network.js'
import { settle } from '../../test/helpers/settle.js'
import { ProxyError } from '../error/index.js'
import { withDeadline } from './with-deadline.js'
import type { DeadlineOptions } from './with-deadline.js'

function setUp() {
  const env = scriptedEnvironment()
  const controller = new AbortController()
  const options: DeadlineOptions = {
    env,
    timeoutMs: 1_000,
    signal: controller.signal,
    timeoutError: () => new ProxyError('PGR_CONNECT_TIMEOUT', 'too late'),
  }
  return { env, controller, options }
}

describe('withDeadline', () => {
  test('settles as the work does', async () => {
    const { options } = setUp()
    assert.equal(await withDeadline(options, () => 1), 1)
    await assert.rejects(
      withDeadline(options, () => Promise.reject(new Error('work failed'))),
      /work failed/,
    )
  })

  test('takes a throw for a rejection', async () => {
    const work = (): never => {
      throw new Error('work threw')
    }
    await assert.rejects(withDeadline(setUp().options, work), /work threw/)
  })

  test('gives up work that takes too long, and tells it so', async () => {
    const { env, options } = setUp()
    let told: AbortSignal | undefined
    const result = withDeadline(options, (signal) => {
      told = signal
      return new Promise(() => undefined)
    })
    await settle()
    env.clock.advance(1_100)
    await assert.rejects(result, /too late/)
    assert.equal(told?.aborted, true)
  })

  test('gives up at the outer signal, also before the work has begun', async () => {
    const { controller, options } = setUp()
    const result = withDeadline(options, () => new Promise(() => undefined))
    controller.abort(new Error('stop'))
    await assert.rejects(result, /stop/)
    await assert.rejects(
      withDeadline(options, () => assert.fail('must not run')),
      /stop/,
    )
  })

  test('sets no deadline off once the work is done', async () => {
    const { env, controller, options } = setUp()
    let told: AbortSignal | undefined
    await withDeadline(options, (signal) => void (told = signal))
    env.clock.advance(2_000)
    controller.abort()
    assert.equal(told?.aborted, false)
    assert.equal(env.clock.pending, 0)
  })
})
