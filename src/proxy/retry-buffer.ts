/** Keeps the start of a request body, so that it can be sent again. */

/** The raw body as the client sent it, before filters, up to a limit. */
export class RetryBuffer {
  readonly #maxBytes: number
  #pieces: Buffer[] = []
  #bytes = 0
  #overflown = false

  /** @param maxBytes larger bodies cannot be sent again. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether all that was kept is the whole body so far. */
  get complete(): boolean {
    return !this.#overflown
  }

  /** Keeps a copy of `buffer[from, to)`; lets all go when it gets too much. */
  keep(buffer: Buffer, from: number, to: number): void {
    if (this.#overflown) return
    this.#bytes += to - from
    if (this.#bytes > this.#maxBytes) {
      this.#overflown = true
      this.#pieces = []
      return
    }
    this.#pieces.push(Buffer.from(buffer.subarray(from, to)))
  }

  /** The pieces, in order. */
  get pieces(): readonly Buffer[] {
    return this.#pieces
  }
}
