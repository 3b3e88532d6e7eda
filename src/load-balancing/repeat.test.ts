import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { testWorld } from '../../test/helpers/test-world.js'
import { repeat } from './repeat.js'

describe('repeat', () => {
  test('runs rounds at the interval, counted from start to start', async (t) => {
    const world = testWorld(t)
    const { clock } = world.env
    const controller = new AbortController()
    const { signal } = controller
    const starts: number[] = []
    const done = repeat({ clock, intervalMs: () => 1_000, signal, lastStartMs: 0 }, async () => {
      starts.push(clock.nowMs())
      await world.sleep(300)
    })
    await world.advance(3_500)
    assert.deepEqual(starts, [1_000, 2_000, 3_000])
    controller.abort()
    await done
    assert.deepEqual(world.leftovers(), [])
  })

  test('never runs two rounds at once, and follows a long one with the next at once', async (t) => {
    const world = testWorld(t)
    const { clock } = world.env
    const controller = new AbortController()
    const { signal } = controller
    const starts: number[] = []
    let running = 0
    const done = repeat({ clock, intervalMs: () => 1_000, signal, lastStartMs: 0 }, async () => {
      assert.equal(++running, 1)
      starts.push(clock.nowMs())
      await world.sleep(1_500)
      running--
    })
    await world.advance(4_500)
    assert.deepEqual(starts, [1_000, 2_500, 4_000])
    controller.abort()
    await world.run(done)
    assert.equal(clock.nowMs(), 5_500)
  })

  test('ends when there is no interval any more', async (t) => {
    const world = testWorld(t)
    const { clock } = world.env
    let rounds = 0
    const intervalMs = (): number | undefined => (rounds < 2 ? 100 : undefined)
    const { signal } = new AbortController()
    const done = repeat({ clock, intervalMs, signal, lastStartMs: 0 }, async () => {
      rounds++
    })
    await world.run(done)
    assert.deepEqual([rounds, clock.nowMs()], [2, 200])
  })

  test('ends at once when the signal has aborted already', async (t) => {
    const { clock } = testWorld(t).env
    const options = { clock, intervalMs: () => 100, signal: AbortSignal.abort(), lastStartMs: 0 }
    await repeat(options, () => assert.fail('must not run'))
  })
})
