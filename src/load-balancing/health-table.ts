/** Which backends are healthy and enabled: flags by index, with a version that tells of changes. */
import { ENABLED, HEALTHY, HealthMemory, READY } from './health-memory.js'
import type { HealthPlace } from './health-memory.js'

/** What a selector may know of the state of backends. */
export interface Readiness {
  /** Differs from an earlier value when `isReady` may answer differently for some backend. */
  readonly version: number
  /** Whether the backend with this index is healthy and enabled. */
  isReady(index: number): boolean
}

/**
 * The state of every backend of one set. It lies in memory that outlives the set and that all
 * threads of the process see: a change by one of them is seen by all at their next pick.
 * Writers change a flag first and the version after; readers note the version before they read
 * flags: so a change is at worst seen one read late, never missed.
 */
export class HealthTable implements Readiness {
  readonly #memory: HealthMemory
  readonly #slots: Int32Array
  readonly #tags: Int32Array

  /**
   * A table of `size` backends, all healthy and enabled.
   * @param places where their states are. Default: in memory of its own.
   */
  constructor(size: number, memory: HealthMemory = new HealthMemory(), places?: HealthPlace[]) {
    const all = places ?? Array.from({ length: size }, () => memory.allot())
    this.#memory = memory
    this.#slots = Int32Array.from(all, ({ slot }) => slot)
    this.#tags = Int32Array.from(all, ({ tag }) => tag)
  }

  get version(): number {
    return this.#memory.version
  }

  isReady(index: number): boolean {
    return this.#flags(index) === READY
  }

  /** Whether the checks say that the backend works. */
  isHealthy(index: number): boolean {
    return (this.#flags(index) & HEALTHY) !== 0
  }

  /** Whether traffic is allowed to the backend. */
  isEnabled(index: number): boolean {
    return (this.#flags(index) & ENABLED) !== 0
  }

  /** Allows or forbids traffic, from any thread; the health is kept. */
  setEnabled(index: number, enabled: boolean): void {
    this.#setFlag(index, ENABLED, enabled)
  }

  /**
   * Takes in the result of one check. The health flips after `threshold` results in a row that
   * say the opposite of it; a result that confirms it starts the count anew. For the one thread that
   * checks.
   * @returns whether it flipped.
   */
  observe(index: number, healthy: boolean, threshold: number): boolean {
    const { streaks } = this.#memory
    const slot = this.#slots[index]!
    if (this.isHealthy(index) === healthy) {
      streaks[slot] = 0
      return false
    }
    const streak = streaks[slot]! + 1
    if (streak < threshold) {
      streaks[slot] = streak
      return false
    }
    streaks[slot] = 0
    this.#setFlag(index, HEALTHY, healthy)
    return true
  }

  /** Where the state of one backend is. */
  place(index: number): HealthPlace {
    return { slot: this.#slots[index]!, tag: this.#tags[index]! }
  }

  /** No flag for a backend that has left its place to another one, as for one beyond the table. */
  #flags(index: number): number {
    if (index >= this.#slots.length) return 0
    const word = Atomics.load(this.#memory.flags, this.#slots[index]!)
    return (word & ~READY) === this.#tags[index] ? word & READY : 0
  }

  /** Compared and exchanged, so that no change of the other flag by another thread is lost. */
  #setFlag(index: number, flag: number, on: boolean): void {
    const { flags } = this.#memory
    const slot = this.#slots[index]!
    for (;;) {
      const before = Atomics.load(flags, slot)
      if ((before & ~READY) !== this.#tags[index]) return
      const after = on ? before | flag : before & ~flag
      if (after === before) return
      if (Atomics.compareExchange(flags, slot, before, after) === before) break
    }
    this.#memory.changed()
  }
}
