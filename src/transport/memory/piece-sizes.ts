/** `PieceSizes`: says how many of the bytes that have arrived a reader is given at once. */
import type { Random } from '../environment.js'
import type { LinkSplit } from './link-options.js'

/** The sizes of the pieces of one direction of one connection, in turn. */
export class PieceSizes {
  readonly #split: LinkSplit
  readonly #random: Random
  /** How many sizes of a list have been used. */
  #used = 0

  constructor(split: LinkSplit, random: Random) {
    this.#split = split
    this.#random = random
  }

  /**
   * The size of the next piece, at least 1, at most 64 KiB and at most `arrived`.
   * @param firstWrite how many of the `arrived` bytes belong to the oldest write among them.
   */
  next(firstWrite: number, arrived: number): number {
    return Math.min(this.#wanted(firstWrite, arrived), arrived, MAX_PIECE_BYTES)
  }

  #wanted(firstWrite: number, arrived: number): number {
    const split = this.#split
    switch (split) {
      case 'whole':
        return firstWrite
      case 'bytes':
        return 1
      case 'random':
        return this.#draw(arrived)
      default: {
        const size = split[Math.min(this.#used, split.length - 1)]!
        this.#used++
        return size
      }
    }
  }

  /** Codecs break at tiny pieces and at ones that hold several messages: both come often. */
  #draw(arrived: number): number {
    const kind = this.#random.next()
    if (kind < TINY_SHARE) return 1 + Math.floor(this.#random.next() * 3)
    if (kind < TINY_SHARE + ALL_SHARE) return arrived
    return 1 + Math.floor(this.#random.next() * arrived)
  }
}

/** What a read from the real kernel gives at most. */
const MAX_PIECE_BYTES = 64 * 1024
const TINY_SHARE = 0.35
const ALL_SHARE = 0.35
