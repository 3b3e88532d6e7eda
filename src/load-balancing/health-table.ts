/** Which backends are healthy and enabled: flags by index, with a version that tells of changes. */

/** What a selector may know of the state of backends. */
export interface Readiness {
  /** Differs from an earlier value when `isReady` may answer differently for some backend. */
  readonly version: number
  /** Whether the backend with this index is healthy and enabled. */
  isReady(index: number): boolean
}

/**
 * The state of every backend of one set. All of it is numbers in typed arrays that no one else
 * touches, so that several threads can share it later without a change to any caller.
 * Writers change a flag first and the version after; readers note the version before they read
 * flags: so a change is at worst seen one read late, never missed.
 */
export class HealthTable implements Readiness {
  readonly #flags: Uint8Array
  /** How many results in a row said the opposite of the flag. */
  readonly #streaks: Uint32Array
  #version = 0

  /** A table of `size` backends, all healthy and enabled. */
  constructor(size: number) {
    this.#flags = new Uint8Array(size).fill(READY)
    this.#streaks = new Uint32Array(size)
  }

  get version(): number {
    return this.#version
  }

  isReady(index: number): boolean {
    return this.#flags[index] === READY
  }

  /** Whether the checks say that the backend works. */
  isHealthy(index: number): boolean {
    return (this.#flags[index]! & HEALTHY) !== 0
  }

  /** Whether traffic is allowed to the backend. */
  isEnabled(index: number): boolean {
    return (this.#flags[index]! & ENABLED) !== 0
  }

  /** Allows or forbids traffic; the health is kept. */
  setEnabled(index: number, enabled: boolean): void {
    this.#setFlag(index, ENABLED, enabled)
  }

  /**
   * Takes in the result of one check. The health flips after `threshold` results in a row that
   * say the opposite of it; a result that confirms it starts the count anew.
   * @returns whether it flipped.
   */
  observe(index: number, healthy: boolean, threshold: number): boolean {
    if (this.isHealthy(index) === healthy) {
      this.#streaks[index] = 0
      return false
    }
    const streak = this.#streaks[index]! + 1
    if (streak < threshold) {
      this.#streaks[index] = streak
      return false
    }
    this.#streaks[index] = 0
    this.#setFlag(index, HEALTHY, healthy)
    return true
  }

  /** Takes over the whole state of one backend from another table. */
  copyFrom(other: HealthTable, otherIndex: number, index: number): void {
    this.#flags[index] = other.#flags[otherIndex]!
    this.#streaks[index] = other.#streaks[otherIndex]!
    this.#version++
  }

  #setFlag(index: number, flag: number, on: boolean): void {
    const before = this.#flags[index]!
    const after = on ? before | flag : before & ~flag
    if (after === before) return
    this.#flags[index] = after
    this.#version++
  }
}

const HEALTHY = 1
const ENABLED = 2
const READY: number = HEALTHY | ENABLED
