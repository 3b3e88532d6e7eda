import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { scaledWeights, weightedSchedule } from './weighted-schedule.js'

/** The schedule of backends with these weights, as letters. */
function letters(...weights: number[]): string {
  const { slots } = weightedSchedule([...weights.keys()], weights)
  return Array.from(slots, (index) => 'abcdefgh'[index]).join('')
}

describe('weightedSchedule', () => {
  test('spreads the turns of a backend over the cycle', () => {
    const cases: [weights: number[], expected: string][] = [
      [[1, 1, 1], 'abc'],
      [[2, 1, 1], 'abac'],
      [[3, 1, 1], 'abaca'],
      [[4, 2, 1], 'abacaba'],
      [[2, 2, 1], 'abcab'],
      [[1, 2], 'bab'],
    ]
    for (const [weights, expected] of cases) assert.equal(letters(...weights), expected)
  })

  test('divides the weights by what they have in common', () => {
    assert.equal(letters(200, 100, 100), 'abac')
    assert.deepEqual(scaledWeights([6, 9, 3]), [2, 3, 1])
    assert.deepEqual(scaledWeights([]), [])
  })

  test('gives each backend exactly its share of a cycle', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 20 }), (weights) => {
        const { slots, members } = weightedSchedule([...weights.keys()], weights)
        const turns = weights.map((_, index) => slots.filter((slot) => slot === index).length)
        assert.deepEqual(turns, scaledWeights(weights))
        assert.deepEqual(members, [...weights.keys()])
      }),
    )
  })

  test('keeps every backend close to its share at every point of the cycle', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
        (weights) => {
          const { slots } = weightedSchedule([...weights.keys()], weights)
          const shares = scaledWeights(weights).map((weight) => weight / slots.length)
          const turns = weights.map(() => 0)
          for (const [taken, slot] of slots.entries()) {
            turns[slot]! += 1
            for (const [index, share] of shares.entries()) {
              const lead = turns[index]! - share * (taken + 1)
              // One turn of its own, and its share of one turn of each of the others.
              assert.ok(Math.abs(lead) <= 1 + weights.length * share, `${weights.join()}: ${lead}`)
            }
          }
        },
      ),
    )
  })

  test('lays out only the members', () => {
    const { slots, members } = weightedSchedule([1, 3], [9, 2, 9, 4])
    assert.deepEqual([...slots], [3, 1, 3])
    assert.deepEqual(members, [1, 3])
  })

  test('lays out the largest cycle', () => {
    const weights = [65_534, 1]
    const { slots } = weightedSchedule([0, 1], weights)
    assert.equal(slots.length, 65_535)
    assert.equal(slots.filter((slot) => slot === 1).length, 1)
  })
})
