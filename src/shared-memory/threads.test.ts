import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  PLACES,
  documentOf,
  makeProgram,
  startThread,
} from '../../test/helpers/shared-memory-worker.js'
import type { ReadReport } from '../../test/helpers/shared-memory-worker.js'
import { SharedCounter } from './shared-counter.js'
import { SharedRegistry } from './shared-registry.js'
import { WorkerSlots } from './worker-slots.js'

const WORKERS = 3
const TIMES = 600_000
/** More than the readers need, so that one that fails does not let the writer write for ever. */
const MAX_VERSIONS = 5_000_000

describe('shared memory, with real threads', { timeout: 120_000 }, () => {
  test('loses no addition and no turn, whoever adds at the same time', async (t) => {
    const registry = new SharedRegistry()
    const program = makeProgram(registry)
    const { hits, inFlight, counted, turnsTaken } = program
    // The position passes its end while the threads take turns.
    const position = positionOf(registry, WORKERS)
    const start = 2 ** 31 - (TIMES * WORKERS) / 2
    position[0] = start
    const threads = [1, 2, 3].map((index) =>
      startThread(t, registry, {
        index,
        workers: WORKERS,
        name: 'add',
        times: TIMES,
        together: WORKERS,
      }),
    )
    hits.add(5)
    await Promise.all(threads.map(({ result }) => result))
    assert.equal(hits.value, 5 + (WORKERS * TIMES * (3 - 1)) / 2)
    assert.deepEqual(
      [0, 1, 2].map((column) => inFlight.sum(column)),
      [WORKERS, 0, 0],
    )
    assert.deepEqual(
      [0, 1, 2].map((column) => counted.sum(column)),
      Array(3).fill((WORKERS * TIMES) / 3),
    )
    const turns = [...turnsTaken]
    assert.ok(Math.max(...turns) - Math.min(...turns) <= 1, `not in turn: ${turns.join(' ')}`)
    const unused = 2 ** 31 % PLACES
    assert.equal(position[0], (start + WORKERS * TIMES + unused) | 0)
  })

  test('shows readers only whole versions, in order, however fast they change', async (t) => {
    const registry = new SharedRegistry()
    const program = makeProgram(registry)
    const readers = [1, 2].map((index) =>
      startThread(t, registry, { index, workers: 2, name: 'read', times: 100_000, together: 2 }),
    )
    await Promise.all(readers.map(({ worker }) => new Promise((go) => worker.once('online', go))))
    let version = 0
    while (Atomics.load(program.gate.done, 0) < 2 && version < MAX_VERSIONS) {
      version = program.document.publish(documentOf(version + 1))
    }
    for (const { result } of readers) {
      const { copies, versions, torn, backwards } = (await result) as ReadReport
      assert.deepEqual({ copies, torn, backwards }, { copies: 100_000, torn: 0, backwards: 0 })
      assert.ok(versions > 20, `nothing changed while it was read: ${versions} versions`)
    }
  })

  test('gives back what a dead worker held, keeps what it counted, and goes on after it', async (t) => {
    const registry = new SharedRegistry()
    const program = makeProgram(registry)
    const { hits, inFlight, counted } = program
    const add = { index: 2, workers: 2, name: 'add', times: 3 } as const
    const other = startThread(t, registry, { ...add, index: 1 })
    const first = startThread(t, registry, add)
    await Promise.all([other.ended, first.ended])
    const sums = () => [hits.value, inFlight.sum(0), counted.sum(0)]
    assert.deepEqual(sums(), [10, 2, 2])
    registry.clearWorker(2)
    assert.deepEqual(sums(), [10, 1, 2])
    await startThread(t, registry, add).ended
    assert.deepEqual(sums(), [15, 2, 3])
  })

  test('refuses a worker whose objects are not those of the main thread, with both shapes', async (t) => {
    const registry = new SharedRegistry()
    new SharedCounter({ name: 'hits' }, registry)
    new WorkerSlots(registry, 'in-flight', { columns: 4, type: 'int32', holds: 'gauges' })
    const { result } = startThread(t, registry, { index: 1, workers: 1, name: 'list' })
    await assert.rejects(result, {
      code: 'PGR_SHARED_MEMORY_MISMATCH',
      message:
        /^shared memory in-flight#0: worker 1 asks for \{ values: int32 × 3 \} .*, the main thread made \{ values: int32 × 4 \} /,
    })
  })

  test('tells a worker what the main thread has made besides', async (t) => {
    const registry = new SharedRegistry()
    makeProgram(registry)
    registry.region('admin', { pages: { type: 'int32', length: 1 } })
    const { result } = startThread(t, registry, { index: 1, workers: 1, name: 'list' })
    assert.deepEqual(await result, ['admin#0'])
  })

  test('lets a thread that was given no memory begin with its own', async (t) => {
    const registry = new SharedRegistry()
    const { hits } = makeProgram(registry)
    const add = { index: 1, workers: 1, name: 'add', times: 2 } as const
    await startThread(t, null, add).result
    assert.equal(hits.value, 0)
    await startThread(t, registry, add).result
    assert.equal(hits.value, 2)
  })

  /** The position of the program's turns, as one of its workers gets it. */
  function positionOf(registry: SharedRegistry, workers: number): Int32Array {
    const worker = SharedRegistry.import(registry.export(workers), { workerIndex: 1 })
    return worker.region('round-robin', { position: { type: 'int32', length: 1 } }).fields.position
  }
})
