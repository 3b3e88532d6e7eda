import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SharedRegistry } from './shared-registry.js'
import { WorkerSlots } from './worker-slots.js'
import type { WorkerSlotsOptions } from './worker-slots.js'

const GAUGES: WorkerSlotsOptions = { columns: 2, type: 'int32', holds: 'gauges' }
const COUNTERS: WorkerSlotsOptions = { columns: 2, type: 'float64', holds: 'counters' }

describe('WorkerSlots', () => {
  test('sums up the rows of all threads, as seen from each of them', () => {
    const { tables } = threadsWith(GAUGES)
    for (const [thread, table] of tables.entries()) table.add(1, 10 ** thread)
    tables[2]!.add(1, -1)
    tables[0]!.add(0)
    assert.deepEqual(
      tables.map((table) => table.sum(1)),
      [110, 110, 110],
    )
    assert.deepEqual(
      tables.map((table) => table.own(1)),
      [1, 10, 99],
    )
    assert.equal(tables[1]!.sum(0), 1)
  })

  test('keeps what the main thread had added before there were workers', () => {
    const registry = new SharedRegistry()
    const table = new WorkerSlots(registry, 'in-flight', GAUGES)
    table.add(0, 7)
    assert.equal(table.sum(0), 7)
    const worker = SharedRegistry.import(registry.export(1), { workerIndex: 1 })
    const other = new WorkerSlots(worker, 'in-flight', GAUGES)
    other.add(0, 2)
    assert.deepEqual([table.sum(0), other.sum(0)], [9, 9])
  })

  test('counts in float64 beyond 32 bits', () => {
    const { tables } = threadsWith(COUNTERS)
    for (const table of tables) table.add(0, 2 ** 40)
    assert.equal(tables[0]!.sum(0), 3 * 2 ** 40)
  })

  test('gives back the gauges of a worker that ended, and keeps its counters', () => {
    const registry = new SharedRegistry()
    const main = [GAUGES, COUNTERS].map(
      (options, n) => new WorkerSlots(registry, `table-${n}`, options),
    )
    const worker = SharedRegistry.import(registry.export(2), { workerIndex: 2 })
    const its = [GAUGES, COUNTERS].map(
      (options, n) => new WorkerSlots(worker, `table-${n}`, options),
    )
    for (const table of [...main, ...its]) table.add(0, 3)
    registry.clearWorker(2)
    assert.deepEqual(
      main.map((table) => table.sum(0)),
      [3, 6],
    )
  })

  test('clears single columns of one row', () => {
    const { tables } = threadsWith(COUNTERS)
    for (const table of tables) for (const column of [0, 1]) table.add(column, 5)
    tables[0]!.clear(2, [1])
    assert.deepEqual(
      [0, 1].map((column) => tables[1]!.sum(column)),
      [15, 10],
    )
    tables[0]!.clear(2)
    assert.deepEqual(
      [0, 1].map((column) => tables[1]!.sum(column)),
      [10, 10],
    )
  })

  test('refuses another kind of numbers, or another use of them, in a worker', () => {
    const registry = new SharedRegistry()
    new WorkerSlots(registry, 'in-flight', GAUGES)
    const description = registry.export(1)
    for (const options of [
      { ...GAUGES, holds: 'counters' },
      { ...GAUGES, type: 'float64' },
    ] as const) {
      const worker = SharedRegistry.import(description, { workerIndex: 1 })
      assert.throws(() => new WorkerSlots(worker, 'in-flight', options), {
        code: 'PGR_SHARED_MEMORY_MISMATCH',
      })
    }
  })

  /** The same table in the main thread and two workers. */
  function threadsWith(options: WorkerSlotsOptions) {
    const registry = new SharedRegistry()
    const first = new WorkerSlots(registry, 'table', options)
    const description = registry.export(2)
    const others = [1, 2].map((workerIndex) => {
      return new WorkerSlots(SharedRegistry.import(description, { workerIndex }), 'table', options)
    })
    return { registry, tables: [first, ...others] }
  }
})
