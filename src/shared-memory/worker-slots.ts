/** `WorkerSlots`: numbers that every thread has its own copy of, and whose sums are what counts. */
import { float64, int32 } from './shape.js'
import type { NumberType, Shape, Views } from './shape.js'
import type { SharedRegistry } from './shared-registry.js'

/** What one table of slots is like; the same in every thread. */
export interface WorkerSlotsOptions {
  /** Numbers per thread, for good; unused ones cost no memory. */
  readonly columns: number
  /** `int32` for what stays small, such as requests in flight, else `float64`. */
  readonly type: NumberType
  /**
   * `gauges` are what a thread holds at the moment and gives back by ending; `counters` count what
   * happened, and outlive the thread that saw it.
   */
  readonly holds: 'gauges' | 'counters'
  /** Tells it from others of its kind. Default: the order of construction does. */
  readonly name?: string | undefined
}

/**
 * A table with a row for each thread: row 0 is the main thread's. A thread adds to its own row
 * without atomic operations, as nobody else writes there; the value of a column is the sum over
 * all rows. A worker that is started in the place of one that ended goes on with its counters.
 *
 * A sum has all that was added before a message, or before a call of `Atomics`, that the reader has
 * seen; what is added while it is made may be in it or not. No number is seen half written: for
 * `int32` the language says so, for `float64` every 64-bit machine does.
 *
 * A column must be below `columns`. That is not checked, because requests pass here.
 */
export class WorkerSlots {
  readonly #own: Int32Array | Float64Array
  readonly #rows: readonly Views<Shape>[]

  /** Kind and errors as in {@link SharedRegistry.region}. */
  constructor(registry: SharedRegistry, kind: string, options: WorkerSlotsOptions) {
    const { columns, type, holds, name } = options
    const values = type === 'int32' ? int32(columns) : float64(columns)
    const sharing = holds === 'gauges' ? 'per thread, zeroed' : 'per thread, kept'
    const region = registry.regionPerThread<{ values: typeof values }>(
      kind,
      { values },
      sharing,
      name,
    )
    this.#own = region.own.values
    this.#rows = region.rows
  }

  /** Adds to this thread's number in `column`. An `int32` wraps around beyond 2^31 - 1. */
  add(column: number, amount: number = 1): void {
    this.#own[column]! += amount
  }

  /** This thread's number in `column`. */
  own(column: number): number {
    return this.#own[column]!
  }

  /** The sum over all threads. O(threads). */
  sum(column: number): number {
    let sum = 0
    for (const { values } of this.#rows) sum += values![column]!
    return sum
  }

  /**
   * Gives back what a worker held when it ended: zeroes its numbers in `columns` (default: all).
   * {@link SharedRegistry.clearWorker} does so for all tables of gauges at once; this is for a table
   * of counters in which some columns are gauges. The same conditions hold.
   */
  clear(workerIndex: number, columns?: Iterable<number>): void {
    const { values } = this.#rows[workerIndex]!
    if (columns === undefined) values!.fill(0)
    else for (const column of columns) values![column] = 0
  }
}
