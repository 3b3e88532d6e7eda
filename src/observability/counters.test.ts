import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SharedRegistry } from '../shared-memory/internal.js'
import { COUNTER_NAMES, Counters, counterSlot } from './counters.js'

describe('Counters', () => {
  test('count by name, by slot and by code', () => {
    const counters = new Counters()
    counters.add('attempts', 2)
    counters.count(counterSlot('attempts'))
    counters.add('downstreamConnectionsOpen')
    counters.add('downstreamConnectionsOpen', -1)
    counters.addError('PGR_INTERNAL')
    assert.equal(counters.get('attempts'), 3)
    assert.equal(counters.errors('PGR_INTERNAL'), 1)
    assert.deepEqual(counters.snapshot(), { attempts: 3, 'error:PGR_INTERNAL': 1 })
  })

  test('are told apart, each with its own number', () => {
    const counters = new Counters()
    for (const [place, name] of COUNTER_NAMES.entries()) counters.add(name, place + 1)
    const expected = COUNTER_NAMES.map((name, place) => [name, place + 1])
    assert.deepEqual(counters.snapshot(), Object.fromEntries(expected))
  })

  test('are a thread’s own without a registry, and others with another name or order', () => {
    const registry = new SharedRegistry()
    const all = [
      new Counters(),
      new Counters(),
      new Counters({ registry }),
      new Counters({ registry }),
      new Counters({ registry, name: 'api' }),
    ]
    registry.export(1)
    for (const [place, counters] of all.entries()) counters.add('requests', place)
    assert.deepEqual(
      all.map((counters) => counters.get('requests')),
      [0, 1, 2, 3, 4],
    )
  })

  test('are added up over all threads, with what was counted before there were several', () => {
    const { main, threads } = threadsOf((counters) => {
      counters.add('requests', 5)
      counters.add('downstreamConnectionsOpen', 2)
    })
    for (const [index, counters] of threads.entries()) {
      counters.add('requests', index + 1)
      counters.count(counterSlot('attempts'))
      counters.add('downstreamConnectionsOpen')
      counters.addError('PGR_INTERNAL')
    }
    for (const counters of [main, ...threads]) {
      assert.deepEqual(counters.snapshot(), {
        requests: 8,
        attempts: 2,
        downstreamConnectionsOpen: 4,
        'error:PGR_INTERNAL': 2,
      })
    }
  })

  test('keep what a worker counted when it ends, and give back what it held', () => {
    const { main, threads, registry } = threadsOf(() => undefined)
    for (const counters of threads) {
      counters.add('requests')
      counters.add('downstreamConnectionsOpen', 3)
    }
    registry.clearWorker(2)
    assert.deepEqual(main.snapshot(), { requests: 2, downstreamConnectionsOpen: 3 })
    const next = SharedRegistry.import(registry.export(2), { workerIndex: 2 })
    new Counters({ registry: next }).add('requests')
    assert.equal(main.get('requests'), 3)
  })

  /** The counters of a main thread that has counted something, and of two workers. */
  function threadsOf(before: (main: Counters) => void): {
    main: Counters
    threads: Counters[]
    registry: SharedRegistry
  } {
    const registry = new SharedRegistry()
    const main = new Counters({ registry })
    before(main)
    const description = registry.export(2)
    const threads = [1, 2].map((workerIndex) => {
      return new Counters({ registry: SharedRegistry.import(description, { workerIndex }) })
    })
    return { main, threads, registry }
  }
})
