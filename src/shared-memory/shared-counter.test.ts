import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SharedCounter } from './shared-counter.js'
import { SharedRegistry } from './shared-registry.js'
import { threadRegistry } from './thread-registry.js'

const MAX = Number.MAX_SAFE_INTEGER

describe('SharedCounter', () => {
  test('is the exact sum of what all threads add', () => {
    const steps = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: -(2 ** 40), max: 2 ** 40 })))
    const sums = fc.property(steps, (list) => {
      const counters = threadsWith('hits')
      for (const [thread, amount] of list) counters[thread]!.add(amount)
      const expected = list.reduce((sum, [, amount]) => sum + amount, 0)
      assert.deepEqual(
        counters.map(({ value }) => value),
        [expected, expected, expected],
      )
    })
    fc.assert(sums)
  })

  test('is of this thread alone without a name', () => {
    const before = threadRegistry().unclaimed
    const [one, other] = [new SharedCounter(), new SharedCounter()]
    one.add()
    one.add(2)
    assert.deepEqual([one.value, other.value], [3, 0])
    assert.deepEqual(threadRegistry().unclaimed, before)
  })

  test('is in the memory of its thread unless told otherwise', () => {
    const counter = new SharedCounter({ name: 'of this thread' })
    counter.add()
    const worker = SharedRegistry.import(threadRegistry().export(1), { workerIndex: 1 })
    assert.equal(new SharedCounter({ name: 'of this thread' }, worker).value, 1)
  })

  test('stays at the end of the safe integers, on both sides, and comes back', () => {
    const counter = new SharedCounter()
    counter.add(MAX)
    counter.add(MAX)
    assert.equal(counter.value, MAX)
    counter.add(-1)
    assert.equal(counter.value, MAX - 1)
    counter.add(-MAX)
    counter.add(-MAX)
    assert.equal(counter.value, -MAX)
    const [main, worker] = threadsWith('hits')
    main!.add(MAX)
    worker!.add(5)
    assert.equal(main!.value, MAX)
    worker!.add(-6)
    assert.equal(main!.value, MAX - 1)
  })

  test('refuses what cannot be counted exactly', () => {
    const counter = new SharedCounter()
    for (const amount of [0.5, NaN, Infinity, MAX + 1]) {
      assert.throws(() => counter.add(amount), { code: 'PGR_OPTION_INVALID' })
    }
    assert.equal(counter.value, 0)
  })

  test('has a name only once per thread', () => {
    const registry = new SharedRegistry()
    new SharedCounter({ name: 'hits' }, registry)
    assert.throws(() => new SharedCounter({ name: 'hits' }, registry), {
      code: 'PGR_OPTION_INVALID',
      message: /shared-counter "hits"/,
    })
    assert.throws(() => new SharedCounter({ name: '' }, registry), { code: 'PGR_OPTION_INVALID' })
  })

  /** The same counter in the main thread and two workers. */
  function threadsWith(name: string): SharedCounter[] {
    const main = new SharedRegistry()
    const first = new SharedCounter({ name }, main)
    const description = main.export(2)
    const others = [1, 2].map((workerIndex) => {
      return new SharedCounter({ name }, SharedRegistry.import(description, { workerIndex }))
    })
    return [first, ...others]
  }
})
