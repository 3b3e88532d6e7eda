/** `SeededRandom`: chance that a number decides, so that a run can be repeated. */
import { intInRange } from '../error/index.js'
import type { Random } from '../transport/index.js'

/**
 * The generator sfc32 (a small, fast, counter-based one of 128 bits), seeded by splitmix32. The same
 * seed gives the same numbers on every machine. Not for secrets.
 */
export class SeededRandom implements Random {
  /** The seed that it was made from. */
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  /**
   * @param seed an integer from 0 to 2^32 - 1.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` for any other.
   */
  constructor(seed: number) {
    this.seed = intInRange('seed', seed, 0, 0xffff_ffff)
    const next = splitmix32(seed)
    this.#a = next()
    this.#b = next()
    this.#c = next()
    // Seeds that differ in one bit give unrelated numbers only after some rounds.
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.next()
  }

  /** A number from 0 up to, not including, 1, in steps of 2^-32. */
  next(): number {
    const result = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return (result >>> 0) / 2 ** 32
  }

  /** An integer from `from` to `to`, both included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  /** `true` with `probability`, which is 0 for never and 1 for always. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** One of `list`. @throws {@link ProxyError} `PGR_OPTION_INVALID` when it is empty. */
  pick<T>(list: readonly T[]): T {
    intInRange('length of the list', list.length, 1, Number.MAX_SAFE_INTEGER)
    return list[this.int(0, list.length - 1)]!
  }

  /** A copy of `list` in another order. O(n). */
  shuffle<T>(list: readonly T[]): T[] {
    const result = [...list]
    for (let index = result.length - 1; index > 0; index--) {
      const other = this.int(0, index)
      ;[result[index], result[other]] = [result[other]!, result[index]!]
    }
    return result
  }

  /**
   * An independent stream for one purpose. It depends on the seed and on `name` alone, so that
   * drawing more numbers in one place leaves those of all others as they are.
   */
  fork(name: string): SeededRandom {
    let hash = this.seed
    for (let index = 0; index < name.length; index++) {
      hash = Math.imul(hash ^ name.charCodeAt(index), FNV_PRIME)
    }
    return new SeededRandom(splitmix32(hash)() >>> 0)
  }
}

/** Spreads one number over many; the usual way to fill the state of a larger generator. */
function splitmix32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e37_79b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0_aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a_2d97)
    return mixed ^ (mixed >>> 15)
  }
}

const WARM_UP_ROUNDS = 12
/** The prime of the 32-bit FNV hash. */
const FNV_PRIME = 0x0100_0193
