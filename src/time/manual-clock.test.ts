import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from './manual-clock.js'

describe('ManualClock', () => {
  test('runs calls in order of time, and those of one instant in order of schedule', () => {
    const { clock, ran, call } = setup()
    call('late', 20)
    call('first', 10)
    call('second', 10)
    clock.advance(15)
    assert.deepEqual(ran, ['first@10', 'second@10'])
    assert.equal(clock.nowMs(), 15)
    clock.advance(5)
    assert.deepEqual(ran, ['first@10', 'second@10', 'late@20'])
  })

  test('runs what a call schedules for the same stretch of time', () => {
    const { clock, ran, call } = setup()
    clock.schedule(10, () => {
      call('now', 0)
      call('soon', 5)
      call('later', 50)
    })
    clock.advance(20)
    assert.deepEqual(ran, ['now@10', 'soon@15'])
  })

  test('runNext runs one call and moves time only to it', () => {
    const { clock, ran, call } = setup()
    call('one', 10)
    call('two', 10)
    assert.equal(clock.runNext(9), false)
    assert.equal(clock.nowMs(), 0)
    assert.equal(clock.runNext(100), true)
    assert.deepEqual(ran, ['one@10'])
    assert.equal(clock.nowMs(), 10)
    assert.equal(clock.runNext(10), true)
    assert.equal(clock.runNext(Infinity), false)
    assert.deepEqual(ran, ['one@10', 'two@10'])
  })

  test('nextAtMs is when the next call is due, cancelled ones left out', () => {
    const { clock, call } = setup()
    assert.equal(clock.nextAtMs, Infinity)
    const timer = clock.schedule(5, () => {})
    call('x', 10)
    assert.equal(clock.nextAtMs, 5)
    timer.cancel()
    assert.equal(clock.nextAtMs, 10)
    clock.advance(10)
    assert.equal(clock.nextAtMs, Infinity)
  })

  test('advanceTo moves time unless a call would be passed over', () => {
    const { clock, ran, call } = setup()
    call('x', 10)
    assert.equal(clock.advanceTo(11), false)
    assert.equal(clock.nowMs(), 0)
    assert.equal(clock.advanceTo(10), true)
    assert.equal(clock.nowMs(), 10)
    assert.deepEqual(ran, [])
    assert.equal(clock.advanceTo(5), true)
    assert.equal(clock.nowMs(), 10)
  })

  test('a call may cancel another, itself, and one that has run', () => {
    const { clock, ran, call } = setup()
    const done = call('done', 1)
    const victim = call('victim', 10)
    const own = clock.schedule(10, () => {
      own.cancel()
    })
    clock.schedule(5, () => {
      done.cancel()
      victim.cancel()
      victim.cancel()
    })
    clock.advance(100)
    assert.deepEqual(ran, ['done@1'])
    assert.equal(clock.pending, 0)
  })

  test('a call that throws leaves the others in place', () => {
    const { clock, ran, call } = setup()
    clock.schedule(5, () => {
      throw new Error('of the call')
    })
    call('x', 5)
    assert.throws(() => {
      clock.advance(10)
    }, /of the call/)
    assert.deepEqual([clock.nowMs(), clock.pending], [5, 1])
    clock.advance(10)
    assert.deepEqual(ran, ['x@5'])
  })

  test('time never goes back when a call advances it', () => {
    const { clock, ran, call } = setup()
    clock.schedule(5, () => {
      clock.advance(100)
    })
    call('x', 50)
    clock.advance(10)
    assert.deepEqual(ran, ['x@50'])
    assert.equal(clock.nowMs(), 105)
  })

  test('takes a delay that is no positive number for none', () => {
    const { clock, ran, call } = setup()
    for (const delayMs of [-5, NaN, 0]) call('x', delayMs)
    clock.advance(0)
    assert.deepEqual(ran, ['x@0', 'x@0', 'x@0'])
  })

  test('wall time moves along', () => {
    const clock = new ManualClock(1_000)
    clock.advance(50)
    assert.equal(clock.wallMs(), 1_050)
  })

  test('many calls that are taken back do not stay in memory or in the way', () => {
    const { clock, ran, call } = setup()
    call('kept', 500_000)
    for (let index = 0; index < 10_000; index++) call('never', 1_000_000 - index).cancel()
    assert.equal(clock.pending, 1)
    clock.advance(1_000_000)
    assert.deepEqual(ran, ['kept@500000'])
  })

  test('behaves as a sorted list of calls does', () => {
    const step = fc.record({
      delayMs: fc.oneof(fc.nat(20), fc.constant(0)),
      cancels: fc.option(fc.nat(200)),
      advanceMs: fc.oneof(fc.nat(5), fc.constant(0)),
    })
    const agrees = fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const clock = new ManualClock()
      const ran: number[] = []
      const timers = steps.map(() => ({ cancel: (): void => {} }))
      const model: { index: number; atMs: number }[] = []
      const expected: number[] = []
      for (const [index, { delayMs, cancels, advanceMs }] of steps.entries()) {
        timers[index] = clock.schedule(delayMs, () => ran.push(index))
        model.push({ index, atMs: clock.nowMs() + delayMs })
        if (cancels !== null && cancels <= index) {
          timers[cancels]!.cancel()
          const at = model.findIndex((call) => call.index === cancels)
          if (at !== -1) model.splice(at, 1)
        }
        const endMs = clock.nowMs() + advanceMs
        clock.advance(advanceMs)
        const due = model.filter((call) => call.atMs <= endMs)
        due.sort((one, other) => one.atMs - other.atMs || one.index - other.index)
        for (const call of due) {
          expected.push(call.index)
          model.splice(model.indexOf(call), 1)
        }
        assert.equal(clock.pending, model.length)
      }
      assert.deepEqual(ran, expected)
    })
    fc.assert(agrees, { numRuns: 300 })
  })
})

interface Setup {
  readonly clock: ManualClock
  /** Names of the calls that ran, each with its time. */
  readonly ran: string[]
  call(name: string, delayMs: number): ReturnType<ManualClock['schedule']>
}

function setup(): Setup {
  const clock = new ManualClock()
  const ran: string[] = []
  const call: Setup['call'] = (name, delayMs) =>
    clock.schedule(delayMs, () => ran.push(`${name}@${clock.nowMs()}`))
  return { clock, ran, call }
}
