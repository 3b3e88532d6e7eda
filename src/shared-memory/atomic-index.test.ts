import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { AtomicIndex } from './atomic-index.js'
import { int32 } from './shape.js'
import { SharedRegistry } from './shared-registry.js'

describe('AtomicIndex', () => {
  test('goes round', () => {
    const index = new AtomicIndex(new SharedRegistry(), 'turns')
    assert.deepEqual(take(index, 3, 7), [0, 1, 2, 0, 1, 2, 0])
    assert.deepEqual(take(index, 1, 2), [0, 0])
  })

  test('goes on in turn where the position starts again, and when its sign changes', () => {
    const ends = fc.constantFrom(0x7fffffff, -1, 0)
    const turns = fc.property(
      ends,
      fc.integer({ min: 1, max: 100 }),
      fc.nat(300),
      (end, period, before) => {
        const index = startingAt(end - before)
        const first = index.next(period)
        const expected = Array.from({ length: 600 }, (_, step) => (first + 1 + step) % period)
        assert.deepEqual(take(index, period, 600), expected)
      },
    )
    fc.assert(turns)
  })

  test('ends at a whole period, also with the longest one', () => {
    // 2^31 is 2 * (2^30 - 1) + 2: the last two positions belong to nobody.
    const period = 2 ** 30 - 1
    assert.deepEqual(take(startingAt(2 ** 31 - 3), period, 2), [period - 1, 0])
    assert.deepEqual(take(startingAt(2 ** 31 - 2), period, 2), [0, 1])
    assert.deepEqual(take(startingAt(2 ** 31 - 1), 2 ** 30, 2), [2 ** 30 - 1, 0])
  })

  test('takes its turns from the same row in every thread', () => {
    const main = new SharedRegistry()
    const index = new AtomicIndex(main, 'turns', 'api')
    const worker = SharedRegistry.import(main.export(1), { workerIndex: 1 })
    const other = new AtomicIndex(worker, 'turns', 'api')
    const picks = [index, other, other, index].map((each) => each.next(3))
    assert.deepEqual(picks, [0, 1, 2, 0])
  })

  function take(index: AtomicIndex, period: number, count: number): number[] {
    return Array.from({ length: count }, () => index.next(period))
  }

  /** An index whose 32-bit position is set from another thread, as it were. */
  function startingAt(position: number): AtomicIndex {
    const main = new SharedRegistry()
    const index = new AtomicIndex(main, 'turns')
    const worker = SharedRegistry.import(main.export(1), { workerIndex: 1 })
    worker.region('turns', { position: int32(1) }).fields.position[0] = position
    return index
  }
})
