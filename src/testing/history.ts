/** `History`: a list that only grows at its end and forgets what is old, with numbered entries. */

/** Keeps at least the newest `maxEntries` of what was added. Adding is O(1) on average. */
export class History<T> {
  readonly #maxEntries: number
  #entries: T[] = []
  #forgotten = 0

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  /** Adds at the end. */
  add(entry: T): void {
    this.#entries.push(entry)
    if (this.#entries.length < 2 * this.#maxEntries) return
    this.#entries = this.#entries.slice(this.#maxEntries)
    this.#forgotten += this.#maxEntries
  }

  /** What is kept, oldest first; the array is the list itself. */
  get entries(): readonly T[] {
    return this.#entries
  }

  /** How many were ever added. */
  get count(): number {
    return this.#forgotten + this.#entries.length
  }

  /** What was added since `count` was this, as far as it is kept. */
  since(count: number): T[] {
    return this.#entries.slice(Math.max(0, count - this.#forgotten))
  }
}
