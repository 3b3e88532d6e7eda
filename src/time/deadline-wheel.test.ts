import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DeadlineWheel } from './deadline-wheel.js'
import type { Deadline } from './deadline-wheel.js'
import { ManualClock } from './manual-clock.js'

const RESOLUTION_MS = 50

describe('DeadlineWheel', () => {
  test('calls at the time asked for, at most one step late and never early', () => {
    for (const delayMs of [0, 1, 49, 50, 51, 999, 51_150, 51_200, 51_250, 60_000, 3_600_000]) {
      const { clock, wheel } = setup()
      clock.advance(17)
      const startMs = clock.nowMs()
      let firedMs = -1
      wheel
        .deadline(() => {
          firedMs = clock.nowMs()
        })
        .set(delayMs)
      clock.advance(delayMs + RESOLUTION_MS)
      assert.ok(firedMs >= startMs + delayMs, `${delayMs} ms: early, at ${firedMs}`)
      assert.ok(firedMs < startMs + delayMs + RESOLUTION_MS, `${delayMs} ms: late, at ${firedMs}`)
    }
  })

  test('calls once for each time that it is set', () => {
    const { clock, fired, make } = setup()
    const deadline = make('a')
    deadline.set(100)
    assert.equal(deadline.isSet, true)
    clock.advance(1_000)
    assert.deepEqual(fired, ['a'])
    assert.equal(deadline.isSet, false)
    deadline.set(100)
    clock.advance(1_000)
    assert.deepEqual(fired, ['a', 'a'])
  })

  test('a deadline can be moved later', () => {
    const { clock, fired, make } = setup()
    const deadline = make('a')
    deadline.set(100)
    clock.advance(90)
    deadline.set(100)
    clock.advance(90)
    assert.deepEqual(fired, [])
    clock.advance(60)
    assert.deepEqual(fired, ['a'])
  })

  test('a deadline can be moved earlier', () => {
    const { clock, fired, make } = setup()
    const deadline = make('a')
    deadline.set(60_000)
    deadline.set(100)
    clock.advance(150)
    assert.deepEqual(fired, ['a'])
    clock.advance(120_000)
    assert.deepEqual(fired, ['a'])
  })

  test('a cleared deadline is not called, and can be set again', () => {
    const { clock, fired, make } = setup()
    const deadline = make('a')
    deadline.set(100)
    deadline.clear()
    clock.advance(1_000)
    assert.deepEqual(fired, [])
    deadline.set(100)
    clock.advance(150)
    assert.deepEqual(fired, ['a'])
  })

  test('a wheel without deadlines has no timer', () => {
    const { clock, make } = setup()
    const deadline = make('a')
    assert.equal(clock.pending, 0)
    deadline.set(100)
    assert.equal(clock.pending, 1)
    clock.advance(150)
    assert.equal(clock.pending, 0)
  })

  test('dispose lets go of the deadline, and it may be set again', () => {
    const { clock, fired, make } = setup()
    const [first, second, third] = [make('first'), make('second'), make('third')]
    for (const deadline of [first, second, third]) deadline.set(100)
    second.dispose()
    second.dispose()
    clock.advance(150)
    assert.deepEqual(fired.sort(), ['first', 'third'])
    second.set(10)
    clock.advance(100)
    assert.equal(fired.length, 3)
  })

  test('a deadline that is disposed and set again and again is called once, at its last time', () => {
    for (const delayMs of [60_000, 1_000, 20]) {
      const { clock, fired, make } = setup()
      const deadline = make('a')
      for (let round = 0; round < 200; round++) {
        deadline.set(round % 7 === 0 ? delayMs * 2 : delayMs)
        deadline.dispose()
        clock.advance(10)
        assert.deepEqual(fired, [])
      }
      deadline.set(delayMs)
      clock.advance(delayMs - 1)
      assert.deepEqual(fired, [])
      clock.advance(RESOLUTION_MS + 1)
      clock.advance(200_000)
      assert.deepEqual(fired, ['a'])
      assert.equal(clock.pending, 0)
    }
  })

  test('works after a long time without any deadline', () => {
    const { clock, fired, make } = setup()
    clock.advance(10 * 3_600_000)
    make('a').set(100)
    clock.advance(99)
    assert.deepEqual(fired, [])
    clock.advance(51)
    assert.deepEqual(fired, ['a'])
  })

  test('a callback may set, clear and dispose other deadlines that are due with it', () => {
    const { clock, wheel, fired, make } = setup()
    const cleared = make('cleared')
    const disposed = make('disposed')
    const moved = make('moved')
    const acting = wheel.deadline(() => {
      cleared.clear()
      disposed.dispose()
      moved.set(1_000)
    })
    // Later set, earlier called: the slot is a list with the newest first.
    for (const deadline of [cleared, disposed, moved, acting]) deadline.set(100)
    clock.advance(150)
    assert.deepEqual(fired, [])
    clock.advance(1_050)
    assert.deepEqual(fired, ['moved'])
  })

  test('a callback may set its own deadline again', () => {
    const { clock, wheel } = setup()
    let calls = 0
    const deadline: Deadline = wheel.deadline(() => {
      calls++
      deadline.set(0)
    })
    deadline.set(0)
    clock.advance(RESOLUTION_MS * 10)
    assert.equal(calls, 10)
  })

  test('a callback that throws does not stop the others', () => {
    const { clock, wheel, fired, make } = setup()
    make('before').set(100)
    wheel
      .deadline(() => {
        throw new Error('of the callback')
      })
      .set(100)
    make('after').set(100)
    make('later').set(200)
    assert.throws(() => {
      clock.advance(150)
    }, /of the callback/)
    assert.deepEqual(fired.sort(), ['after', 'before'])
    clock.advance(150)
    assert.ok(fired.includes('later'))
  })

  test('holds many deadlines and calls each', () => {
    const { clock, wheel } = setup()
    let calls = 0
    for (let index = 0; index < 20_000; index++) {
      const deadline = wheel.deadline(() => {
        calls++
      })
      deadline.set((index * 7) % 90_000)
    }
    clock.advance(90_050)
    assert.equal(calls, 20_000)
    assert.equal(clock.pending, 0)
  })

  test('behaves as a plain list of deadlines does', () => {
    const step = fc.record({
      which: fc.nat(7),
      action: fc.constantFrom('set', 'set', 'set', 'clear', 'dispose', 'advance', 'advance'),
      ms: fc.oneof(fc.nat(300), fc.nat(120_000), fc.constantFrom(0, 50, 51_150, 51_200, 51_250)),
    })
    const agrees = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model()
      for (const { which, action, ms } of steps) model.run(which, action, ms)
      model.run(0, 'advance', 200_000)
    })
    fc.assert(agrees, { numRuns: 500 })
  })
})

/** Runs the wheel and a naive list side by side. */
class Model {
  readonly #clock = new ManualClock()
  readonly #wheel = new DeadlineWheel(this.#clock, RESOLUTION_MS)
  readonly #dueMs = new Array<number>(8).fill(Infinity)
  readonly #deadlines = this.#dueMs.map((_, which) =>
    this.#wheel.deadline(() => {
      const dueMs = this.#dueMs[which]!
      const nowMs = this.#clock.nowMs()
      assert.ok(nowMs >= dueMs, `${which}: due at ${dueMs}, called at ${nowMs}`)
      assert.ok(nowMs <= dueMs + RESOLUTION_MS, `${which}: due at ${dueMs}, called at ${nowMs}`)
      this.#dueMs[which] = Infinity
    }),
  )

  run(which: number, action: string, ms: number): void {
    const deadline = this.#deadlines[which]!
    if (action === 'set') {
      deadline.set(ms)
      this.#dueMs[which] = this.#clock.nowMs() + ms
    } else if (action === 'advance') {
      this.#clock.advance(ms)
      const nowMs = this.#clock.nowMs()
      for (const dueMs of this.#dueMs) assert.ok(dueMs > nowMs - RESOLUTION_MS, 'not called')
    } else {
      if (action === 'clear') deadline.clear()
      else deadline.dispose()
      this.#dueMs[which] = Infinity
    }
    for (const [index, dueMs] of this.#dueMs.entries()) {
      assert.equal(this.#deadlines[index]!.isSet, dueMs !== Infinity)
    }
  }
}

interface Setup {
  readonly clock: ManualClock
  readonly wheel: DeadlineWheel
  /** Names of the deadlines that were called, in order. */
  readonly fired: string[]
  make(name: string): Deadline
}

function setup(): Setup {
  const clock = new ManualClock()
  const wheel = new DeadlineWheel(clock, RESOLUTION_MS)
  const fired: string[] = []
  const make = (name: string): Deadline => wheel.deadline(() => fired.push(name))
  return { clock, wheel, fired, make }
}
