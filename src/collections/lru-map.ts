/** `LruMap`: a map with a fixed number of entries that forgets the least recently used one. */
import { intInRange } from '../error/index.js'

/** A bounded map. Every call is O(1); the order is that of the built-in `Map`. */
export class LruMap<K, V> {
  readonly #maxEntries: number
  readonly #entries = new Map<K, V>()

  /**
   * @param maxEntries entries kept, at least 1.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when `maxEntries` is no integer ≥ 1.
   */
  constructor(maxEntries: number) {
    this.#maxEntries = intInRange('maxEntries', maxEntries, 1, Number.MAX_SAFE_INTEGER)
  }

  /** The value of `key`, which becomes the most recently used one. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) {
      this.#entries.delete(key)
      this.#entries.set(key, value)
    }
    return value
  }

  /** Sets `key` as the most recently used one; over the limit the least recently used one goes. */
  set(key: K, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#maxEntries) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }

  /** Forgets `key`; returns whether it was there. */
  delete(key: K): boolean {
    return this.#entries.delete(key)
  }

  /** Entries kept now. */
  get size(): number {
    return this.#entries.size
  }
}
