/** `Position`: how far a round robin has come. */

/**
 * A counter that outlives the sets of backends it is used for, so that an update does not start
 * the round again at the first backend. One integer behind three small methods: it can move to
 * memory that threads share without a change to any selection.
 */
export class Position {
  #value = 0

  /** The position of this pick; moves on by one. From 0 to 2^30 - 1, then 0 again. */
  take(): number {
    const value = this.#value
    // Stays a small integer, which the remainder of every pick is fastest with.
    this.#value = (value + 1) & MASK
    return value
  }

  /** Moves on by `count` positions that were looked at and passed over. */
  skip(count: number): void {
    this.#value = (this.#value + count) & MASK
  }
}

const MASK = 0x3fffffff
