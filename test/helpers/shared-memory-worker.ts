/** The program that the threads of a test on shared memory run: the same objects, then one task. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { SharedCounter } from '../../src/shared-memory/index.js'
import {
  AtomicIndex,
  Snapshot,
  WorkerSlots,
  int32,
  threadRegistry,
  workerMemory,
} from '../../src/shared-memory/internal.js'
import type { SharedRegistry } from '../../src/shared-memory/internal.js'

/** The objects of the program; every thread calls this once, as a user's program would. */
export function makeProgram(registry: SharedRegistry) {
  return {
    hits: new SharedCounter({ name: 'hits' }, registry),
    inFlight: new WorkerSlots(registry, 'in-flight', {
      columns: 3,
      type: 'int32',
      holds: 'gauges',
    }),
    counted: new WorkerSlots(registry, 'counted', {
      columns: 3,
      type: 'float64',
      holds: 'counters',
    }),
    turns: new AtomicIndex(registry, 'round-robin'),
    turnsTaken: registry.region('turns-taken', { places: int32(PLACES) }).fields.places,
    document: new Snapshot(registry, 'document', { maxBytes: MAX_DOCUMENT_BYTES }),
    gate: registry.region('gate', { arrived: int32(1), done: int32(1) }).fields,
  }
}

export type Program = ReturnType<typeof makeProgram>

/** A period that does not divide 2^31. */
export const PLACES = 7
export const MAX_DOCUMENT_BYTES = 2_000

/** A document whose every byte follows from its number, and its length as well. */
export function documentOf(number: number): Uint8Array {
  return new Uint8Array(4 + (number % (MAX_DOCUMENT_BYTES - 3))).fill(number & 0xff)
}

/** What a reader of documents has seen. */
export interface ReadReport {
  readonly copies: number
  readonly versions: number
  readonly torn: number
  readonly backwards: number
}

/** What a thread does once as many are there as start together; `times` is how often. */
const TASKS = {
  /** Adds to everything, and ends with one unit in flight. */
  add: ({ hits, inFlight, counted, turns, turnsTaken }: Program, times: number): undefined => {
    for (let time = 0; time < times; time++) {
      hits.add(time % 2 === 0 ? 3 : -1)
      inFlight.add(time % 3, 1)
      counted.add(time % 3)
      Atomics.add(turnsTaken, turns.next(PLACES), 1)
      inFlight.add(time % 3, -1)
    }
    inFlight.add(0, 1)
  },
  /** Reads documents until it has `times` copies. */
  read: ({ document }: Program, times: number): ReadReport => {
    let [copies, versions, torn, backwards, last] = [0, 0, 0, 0, 0]
    while (copies < times) {
      const copy = document.read()
      if (copy === undefined) continue
      const { version, bytes } = copy
      copies += 1
      if (version !== last) versions += 1
      if (version < last) backwards += 1
      last = version
      const whole = bytes.length === documentOf(version).length
      if (!whole || bytes.some((byte) => byte !== (version & 0xff))) torn += 1
    }
    return { copies, versions, torn, backwards }
  },
  /** Makes the objects, and tells what the main thread has besides. */
  list: (): readonly string[] => threadRegistry().unclaimed,
} as const

/** One started thread. */
export interface Thread {
  readonly worker: Worker
  /** What its task has returned; rejects with the worker's error. */
  readonly result: Promise<unknown>
  /** Resolves when the thread is gone. */
  readonly ended: Promise<void>
}

/** Starts worker `index` of `workers`, without shared memory if there is no registry to share. */
export function startThread(
  t: TestContext,
  registry: SharedRegistry | null,
  { index, workers, ...task }: { index: number; workers: number } & Task,
): Thread {
  const data = { ...(registry && workerMemory(index, workers, registry)), task }
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: data })
  t.after(async () => await worker.terminate())
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const result = new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  return { worker, result, ended }
}

interface Task {
  readonly name: keyof typeof TASKS
  /** How often, for tasks that repeat something. */
  readonly times?: number
  /** How many workers wait for each other before they begin. Default: 1. */
  readonly together?: number
}

function runTask({ name, times = 0, together = 1 }: Task): void {
  const program = makeProgram(threadRegistry())
  const { arrived, done } = program.gate
  Atomics.add(arrived, 0, 1)
  Atomics.notify(arrived, 0)
  for (let here = Atomics.load(arrived, 0); here < together; here = Atomics.load(arrived, 0)) {
    assert.notEqual(Atomics.wait(arrived, 0, here, START_TIMEOUT_MS), 'timed-out')
  }
  const result = TASKS[name](program, times)
  Atomics.add(done, 0, 1)
  parentPort?.postMessage(result)
}

const START_TIMEOUT_MS = 60_000

const data: unknown = workerData
if (!isMainThread && typeof data === 'object' && data !== null && 'task' in data) {
  runTask(data.task as Task)
}
