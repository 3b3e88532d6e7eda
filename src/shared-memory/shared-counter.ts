/** `SharedCounter`: a number that the threads of a process count together. */
import { ProxyError } from '../error/index.js'
import { float64 } from './shape.js'
import type { Field, Views } from './shape.js'
import type { SharedRegistry } from './shared-registry.js'
import { threadRegistry } from './thread-registry.js'

/** What a counter is called. */
export interface SharedCounterOptions {
  /**
   * Threads that give the same name count together; each thread may use a name once. Default: none,
   * and the counter is this thread's alone.
   */
  readonly name?: string | undefined
}

/**
 * Counts over all threads, without a lock: each thread adds to a number of its own, and the value
 * is their sum. Nothing is lost, also not what a worker counted before it ended. With one thread
 * it is an addition and nothing more.
 *
 * Everything is exact up to 2^53 - 1, for each thread's share and for the sum of their absolute
 * values. A share or a value that would leave that range stays at its end.
 */
export class SharedCounter {
  readonly #own: Float64Array
  readonly #rows: readonly Views<CounterShape>[]

  /**
   * Make it when the program starts, in every thread, outside of the code for a request.
   * @param registry whose memory it is; given in tests only.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when this thread has a counter of that name
   * already, or the name is empty; `PGR_SHARED_MEMORY_MISMATCH` in a worker when the main thread has
   * none of that name.
   */
  constructor({ name }: SharedCounterOptions = {}, registry?: SharedRegistry) {
    if (name === undefined) {
      this.#own = new Float64Array(1)
      this.#rows = [{ count: this.#own }]
      return
    }
    const shape = { count: float64(1) }
    const memory = registry ?? threadRegistry()
    const { own, rows } = memory.regionPerThread(KIND, shape, 'per thread, kept', name)
    this.#own = own.count
    this.#rows = rows
  }

  /**
   * Counts `amount`, which may be negative. Default: 1.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when `amount` is no safe integer.
   */
  add(amount: number = 1): void {
    if (!Number.isSafeInteger(amount)) {
      throw new ProxyError('PGR_OPTION_INVALID', `amount: a safe integer, got ${amount}`)
    }
    this.#own[0] = saturated(this.#own[0]! + amount)
  }

  /** What all threads have counted. O(threads). */
  get value(): number {
    let sum = 0
    for (const { count } of this.#rows) sum += count[0]!
    return saturated(sum)
  }
}

type CounterShape = Readonly<Record<'count', Field<'float64'>>>

function saturated(value: number): number {
  return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
}

const KIND = 'shared-counter'
