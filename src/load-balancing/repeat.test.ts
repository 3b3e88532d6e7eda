import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { settle } from '../../test/helpers/settle.js'
import { ManualClock } from '../time/index.js'
import { repeat } from './repeat.js'

async function passTime(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    await settle()
    // A round that is late already is scheduled for now.
    clock.advance(0)
    await settle()
  }
}

describe('repeat', () => {
  test('runs rounds at the interval, counted from start to start', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const starts: number[] = []
    const intervalMs = (): number => 1_000
    const done = repeat(
      { clock, intervalMs, signal: controller.signal, lastStartMs: 0 },
      async () => {
        starts.push(clock.nowMs())
        await new Promise<void>((resolve) => clock.schedule(300, resolve))
      },
    )
    await passTime(clock, 3_500)
    assert.deepEqual(starts, [1_000, 2_000, 3_000])
    controller.abort()
    await done
    assert.equal(clock.pending, 0)
  })

  test('never runs two rounds at once, and follows a long one with the next at once', async () => {
    const clock = new ManualClock()
    const controller = new AbortController()
    const starts: number[] = []
    let running = 0
    const intervalMs = (): number => 1_000
    const done = repeat(
      { clock, intervalMs, signal: controller.signal, lastStartMs: 0 },
      async () => {
        assert.equal(++running, 1)
        starts.push(clock.nowMs())
        await new Promise<void>((resolve) => clock.schedule(1_500, resolve))
        running--
      },
    )
    await passTime(clock, 4_500)
    assert.deepEqual(starts, [1_000, 2_500, 4_000])
    controller.abort()
    await passTime(clock, 1_500)
    await done
  })

  test('ends when there is no interval any more', async () => {
    const clock = new ManualClock()
    let rounds = 0
    const intervalMs = (): number | undefined => (rounds < 2 ? 100 : undefined)
    const { signal } = new AbortController()
    const done = repeat({ clock, intervalMs, signal, lastStartMs: 0 }, async () => {
      rounds++
    })
    await passTime(clock, 1_000)
    await done
    assert.equal(rounds, 2)
  })

  test('ends at once when the signal has aborted already', async () => {
    const clock = new ManualClock()
    const options = { clock, intervalMs: () => 100, signal: AbortSignal.abort(), lastStartMs: 0 }
    await repeat(options, () => assert.fail('must not run'))
    assert.equal(clock.pending, 0)
  })
})
