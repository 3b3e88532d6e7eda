/** The one registry of each thread, and how a worker comes to its own. */
import { workerData } from 'node:worker_threads'
import { SharedRegistry } from './shared-registry.js'
import type { SharedMemoryDescription } from './shared-registry.js'

/** What a worker finds in its `workerData` under {@link WORKER_DATA_KEY}. */
interface WorkerMemory {
  readonly description: SharedMemoryDescription
  readonly workerIndex: number
}

/** Whichever object needs shared memory first makes it; nothing has to be set up before imports. */
let registryOfThread: SharedRegistry | undefined

/**
 * The registry of this thread. In a worker that was given {@link workerMemory} it is over the
 * memory of the main thread; in every other thread it stands at the beginning of its own.
 */
export function threadRegistry(): SharedRegistry {
  registryOfThread ??= registryFrom(workerData)
  return registryOfThread
}

/**
 * What the `workerData` of worker `workerIndex` (from 1) of `workers` must contain, besides
 * whatever else is in it. Call it in the main thread when the program is made completely.
 */
export function workerMemory(
  workerIndex: number,
  workers: number,
  registry: SharedRegistry = threadRegistry(),
): Readonly<Record<string, unknown>> {
  const memory: WorkerMemory = { description: registry.export(workers), workerIndex }
  return { [WORKER_DATA_KEY]: memory }
}

/** A worker that a user's program starts for its own purposes may have any data, or none. */
function registryFrom(data: unknown): SharedRegistry {
  if (typeof data !== 'object' || data === null || !(WORKER_DATA_KEY in data)) {
    return new SharedRegistry()
  }
  const { description, workerIndex } = data[WORKER_DATA_KEY] as WorkerMemory
  return SharedRegistry.import(description, { workerIndex })
}

const WORKER_DATA_KEY = 'pingora-ts/shared-memory'
