/** `RequestIds`: short names for requests, for log lines and for hooks that pass them on. */

/**
 * Numbers requests in the order in which somebody asks, behind a prefix that tells one start of one
 * thread from all others: such as `mib4xk1c-2f`, and `mib4xk1c.3-2f` in the third worker.
 */
export class RequestIds {
  readonly #prefix: string
  #count = 0

  /** @param wallMs when the thread started. @param thread 0 is the main thread. */
  constructor(wallMs: number, thread: number) {
    const start = Math.floor(wallMs).toString(36)
    this.#prefix = thread === 0 ? start : `${start}.${thread}`
  }

  /** The next one. */
  next(): string {
    this.#count++
    return `${this.#prefix}-${this.#count.toString(36)}`
  }
}
