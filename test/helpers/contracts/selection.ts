/** What every `BackendSelection` must do, as tests to run for each. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Backend, HealthTable, Position } from '../../../src/load-balancing/index.js'
import type { BackendSelection, BackendSelector } from '../../../src/load-balancing/index.js'
import { SeededRandom } from '../../../src/testing/index.js'

/** A selector with the table that decides who is ready. */
export interface SelectorUnderTest {
  readonly backends: readonly Backend[]
  readonly health: HealthTable
  readonly selector: BackendSelector
}

/** A selector over backends with these weights, all ready. */
export function selectorFor(
  selection: BackendSelection,
  weights: readonly number[],
  position: Position = new Position(),
): SelectorUnderTest {
  const backends = weights.map((weight, index) => new Backend(`10.0.0.1:${index + 1}`, { weight }))
  const health = new HealthTable(backends.length)
  const random = new SeededRandom(1)
  return {
    backends,
    health,
    selector: selection.build({ backends, readiness: health, position, random }),
  }
}

/** Runs the suite for one algorithm. */
export function testSelection(selection: BackendSelection): void {
  describe(`${selection.name} as a selection`, () => {
    test('picks nothing and offers nothing when there are no backends', () => {
      const { selector } = selectorFor(selection, [])
      assert.equal(selector.next('key'), -1)
      assert.equal(
        selector.search('key', 256, () => true),
        -1,
      )
    })

    test('picks the only backend, whatever the key', () => {
      const { selector } = selectorFor(selection, [7])
      for (const key of ['', 'key', new Uint8Array([0, 255])]) {
        assert.equal(selector.next(key), 0)
        assert.equal(
          selector.search(key, 1, () => true),
          0,
        )
      }
    })

    test('picks only ready backends, while there are some', () => {
      fc.assert(
        fc.property(
          anyWeights,
          anyStates,
          fc.array(fc.string(), { minLength: 1 }),
          (weights, states, keys) => {
            const { health, selector } = selectorFor(selection, weights)
            const ready = applyStates(health, weights.length, states)
            for (const key of keys) {
              const index = selector.next(key)
              assert.ok(ready.length === 0 ? index === -1 : ready.includes(index))
            }
          },
        ),
      )
    })

    test('heeds a change of health at the next pick', () => {
      const { health, selector } = selectorFor(selection, [1, 1])
      for (const down of [0, 1, 0]) {
        health.observe(1 - down, true, 1)
        health.observe(down, false, 1)
        for (let pick = 0; pick < 10; pick++) {
          assert.equal(selector.next(`key ${pick}`), 1 - down)
        }
      }
    })

    test('reaches every ready backend', () => {
      const { selector } = selectorFor(selection, [1, 2, 3])
      const picked = new Set<number>()
      for (let pick = 0; pick < 1_000; pick++) picked.add(selector.next(`key ${pick}`))
      assert.equal(picked.size, 3)
    })

    test('offers each backend once, the ready ones first', () => {
      fc.assert(
        fc.property(anyWeights, anyStates, fc.string(), (weights, states, key) => {
          const { health, selector } = selectorFor(selection, weights)
          const ready = applyStates(health, weights.length, states)
          const offered = offers(selector, key, 256)
          assert.deepEqual(sortedCopy(offered), [...weights.keys()])
          assert.deepEqual(sortedCopy(offered.slice(0, ready.length)), ready)
        }),
      )
    })

    test('offers no more than the most that is allowed', () => {
      fc.assert(
        fc.property(
          anyWeights,
          anyStates,
          fc.integer({ min: -1, max: 20 }),
          (weights, states, max) => {
            const { health, selector } = selectorFor(selection, weights)
            applyStates(health, weights.length, states)
            assert.equal(
              offers(selector, '', max).length,
              Math.max(0, Math.min(max, weights.length)),
            )
          },
        ),
      )
    })

    test('returns the backend that was accepted', () => {
      const { selector } = selectorFor(selection, [3, 1, 2])
      for (const wanted of [0, 1, 2]) {
        assert.equal(
          selector.search('key', 256, (index) => index === wanted),
          wanted,
        )
      }
    })
  })
}

const anyWeights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
/** Per backend: healthy, enabled. */
const anyStates = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 12, maxLength: 12 })

function applyStates(
  health: HealthTable,
  size: number,
  states: readonly (readonly [boolean, boolean])[],
): number[] {
  const ready: number[] = []
  for (const [index, [healthy, enabled]] of states.slice(0, size).entries()) {
    health.observe(index, healthy, 1)
    health.setEnabled(index, enabled)
    if (healthy && enabled) ready.push(index)
  }
  return ready
}

function offers(selector: BackendSelector, key: string, max: number): number[] {
  const offered: number[] = []
  selector.search(key, max, (index) => {
    offered.push(index)
    return false
  })
  return offered
}

function sortedCopy(indexes: readonly number[]): number[] {
  return [...indexes].sort((a, b) => a - b)
}
