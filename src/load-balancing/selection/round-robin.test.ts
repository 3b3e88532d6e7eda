import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { selectorFor, testSelection } from '../../../test/helpers/contracts/selection.js'
import { Position } from './position.js'
import { RoundRobin } from './round-robin.js'
import type { BackendSelector } from './selection.js'
import { scaledWeights } from './weighted-schedule.js'

testSelection(new RoundRobin())

describe('RoundRobin', () => {
  test('takes equal backends in turn', () => {
    const { selector } = selectorFor(new RoundRobin(), [1, 1, 1])
    const picks = Array.from({ length: 7 }, () => selector.next(''))
    assert.deepEqual(picks, [0, 1, 2, 0, 1, 2, 0])
  })

  test('takes the others strictly in turn while one is down', () => {
    const { health, selector } = selectorFor(new RoundRobin(), [1, 1, 1])
    health.observe(1, false, 1)
    const picks = Array.from({ length: 6 }, () => selector.next(''))
    assert.deepEqual(picks, [0, 2, 0, 2, 0, 2])
  })

  test('gives every ready backend exactly its share of each cycle, whoever is down', () => {
    fc.assert(
      fc.property(anyWeights, anyFlags, fc.nat(1_000), (weights, down, before) => {
        const { health, selector } = selectorFor(new RoundRobin(), weights)
        for (let pick = 0; pick < before; pick++) selector.next('')
        for (const index of weights.keys()) health.observe(index, !down[index], 1)
        const ready = [...weights.keys()].filter((index) => !down[index])
        const shares = scaledWeights(ready.map((index) => weights[index]!))
        const expected = new Map(ready.map((index, place) => [index, shares[place]!]))
        assertCounts(expected, () => selector.next(''))
      }),
    )
  })

  test('keeps the shares exact among those that accept takes', () => {
    fc.assert(
      fc.property(anyWeights, anyFlags, (weights, refused) => {
        const { selector } = selectorFor(new RoundRobin(), weights)
        const shares = scaledWeights(weights)
        const accepted = [...weights.keys()].filter((index) => !refused[index])
        const expected = new Map(accepted.map((index) => [index, shares[index]!]))
        assertCounts(expected, () => selector.search('', 256, (index) => expected.has(index)))
      }),
    )
  })

  test('takes those that are down in turn too, when accept insists', () => {
    const { health, selector } = selectorFor(new RoundRobin(), [1, 1])
    health.observe(0, false, 1)
    health.observe(1, false, 1)
    const picks = Array.from({ length: 4 }, () => selector.search('', 256, () => true))
    assert.deepEqual(picks, [0, 1, 0, 1])
  })

  test('uses up one turn where nothing is accepted', () => {
    const { selector } = selectorFor(new RoundRobin(), [3, 1, 1])
    const turns = Array.from({ length: 5 }, () => selector.next(''))
    const after = Array.from({ length: 5 }, () => {
      assert.equal(
        selector.search('', 256, () => false),
        -1,
      )
      return selector.next('')
    })
    // Every other turn: a search has used up the one before.
    assert.deepEqual(
      after,
      [1, 3, 0, 2, 4].map((turn) => turns[turn]),
    )
  })

  test('keeps the shares exact while other threads take turns in between', () => {
    fc.assert(
      fc.property(anyWeights, anyFlags, fc.nat(40), (weights, refused, searches) => {
        const accepted = [...weights.keys()].filter((index) => !refused[index])
        fc.pre(accepted.length > 0)
        const position = new Position()
        const threads = [0, 1].map(
          () => selectorFor(new RoundRobin(), weights, position).selector,
        ) as [BackendSelector, BackendSelector]
        const picks = weights.map(() => 0)
        const search = (selector: BackendSelector, meanwhile: () => void): void => {
          const index = selector.search('', 256, (offered) => {
            meanwhile()
            return !refused[offered]
          })
          picks[index]! += 1
        }
        for (let done = 0; done < searches; done++) {
          search(threads[0], () => {
            search(threads[1], () => undefined)
          })
        }
        assert.deepEqual(picks, acceptedTurns(weights, accepted, position.take()))
      }),
    )
  })

  test('offers every backend, however unlucky it is with its turns', () => {
    class Unlucky extends Position {
      override take(): number {
        return 0
      }
    }
    const { selector } = selectorFor(new RoundRobin(), [1, 1, 1], new Unlucky())
    const offered: number[] = []
    const offer = (index: number): boolean => offered.push(index) === 3
    assert.equal(selector.search('', 2, offer), -1)
    assert.deepEqual(offered.splice(0), [0, 1])
    assert.equal(selector.search('', 256, offer), 2)
    assert.deepEqual(offered, [0, 1, 2])
  })

  /** How many of the first `turns` turns each of the accepted backends has; 0 for the others. */
  function acceptedTurns(
    weights: readonly number[],
    accepted: readonly number[],
    turns: number,
  ): number[] {
    const { selector } = selectorFor(new RoundRobin(), weights)
    const counts = weights.map(() => 0)
    for (let turn = 0; turn < turns; turn++) {
      const index = selector.next('')
      if (accepted.includes(index)) counts[index]! += 1
    }
    return counts
  }

  const anyWeights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 10 })
  const anyFlags = fc.array(fc.boolean(), { minLength: 10, maxLength: 10 })

  /** Picks as often as the expected counts add up to, and wants exactly those. */
  function assertCounts(expected: ReadonlyMap<number, number>, pick: () => number): void {
    const total = [...expected.values()].reduce((sum, count) => sum + count, 0)
    const found = new Map<number, number>()
    for (let done = 0; done < total; done++) {
      const index = pick()
      found.set(index, (found.get(index) ?? 0) + 1)
    }
    assert.deepEqual(found, new Map([...expected].filter(([, count]) => count > 0)))
  }
})
