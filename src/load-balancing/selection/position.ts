/** `Position`: how far a round robin has come, over all threads. */
import { int32 } from '../../shared-memory/internal.js'
import type { Shareable, SharedRegistry } from '../../shared-memory/internal.js'

/**
 * A counter that outlives the sets of backends it is used for, so that an update does not start
 * the round again at the first backend. The threads of a process move the one of a balancer on
 * together: every position is given to one of them, and none is left out.
 */
export class Position implements Shareable {
  #value: Int32Array = new Int32Array(1)
  #isShared = false

  /**
   * @param registry whose threads share it. Default: none do.
   * @param name tells it from others. Default: the order of construction does.
   */
  constructor(registry?: SharedRegistry, name?: string) {
    registry?.enlist(KIND, this, name)
  }

  /**
   * The position of this pick; moves on by one. From 0 to 2^31 - 1, then 0 again.
   * @param period what the caller divides by, up to 2^30: then the last positions, which are not a
   * whole period, are left out, so that the rotation goes on where the position starts again.
   */
  take(period: number = 1): number {
    for (;;) {
      const position = this.#next() & MASK
      // Only beyond this, in the last period before the end, can a period be an incomplete one.
      if (position < POSITIONS - period) return position
      if (position < POSITIONS - (POSITIONS % period)) return position
    }
  }

  /** Moves on by `count` positions that were looked at and passed over. */
  skip(count: number): void {
    Atomics.add(this.#value, 0, count)
  }

  /** Gives back the last `count` positions, unless another one than `last` was the last taken. */
  giveBack(count: number, last: number): void {
    const value = Atomics.load(this.#value, 0)
    if (((value - 1) & MASK) !== last) return
    Atomics.compareExchange(this.#value, 0, value, value - count)
  }

  /** Called by the registry. */
  share(registry: SharedRegistry, name: string): void {
    const { value } = registry.region(KIND, { value: int32(1) }, name).fields
    if (registry.workerIndex === 0) value.set(this.#value)
    this.#value = value
    this.#isShared = true
  }

  /** An atomic addition takes longer than all the rest of a pick: one thread goes without it. */
  #next(): number {
    if (this.#isShared) return Atomics.add(this.#value, 0, 1)
    const value = this.#value[0]!
    this.#value[0] = value + 1
    return value
  }
}

const KIND = 'round-robin-position'
/** How many positions there are. */
const POSITIONS: number = 2 ** 31
/** Takes the position out of 32 bits, whose overflow is harmless as 2^31 divides 2^32. */
const MASK = 0x7fffffff
