/** `AtomicIndex`: turns that all threads take from one row of turns, exactly. */
import { int32 } from './shape.js'
import type { SharedRegistry } from './shared-registry.js'

/**
 * A position that all threads move on. As every take is one atomic addition, two threads never get
 * the same turn and none is left out.
 *
 * The position has 31 bits. Where it starts again at 0 a remainder would jump, unless the period is
 * a power of two; so the last turns, which do not make up a whole period, are given to nobody.
 */
export class AtomicIndex {
  readonly #position: Int32Array

  /** Kind, name and errors as in {@link SharedRegistry.region}. */
  constructor(registry: SharedRegistry, kind: string, name?: string) {
    this.#position = registry.region(kind, { position: int32(1) }, name).fields.position
  }

  /**
   * The next turn of a rotation over `period` places, from 0 to `period - 1`. While the threads
   * agree on the period any `period` turns in a row are one of each, for ever. Who passes a turn
   * over takes another one: the turn is used up for everybody.
   * @param period from 1 to 2^30, not checked.
   */
  next(period: number): number {
    for (;;) {
      const position = Atomics.add(this.#position, 0, 1) & MASK
      if (position < POSITIONS - period) return position % period
      // Only here, in the last period before the end, can a period be an incomplete one.
      if (position < POSITIONS - (POSITIONS % period)) return position % period
    }
  }
}

/** How many positions there are. */
const POSITIONS: number = 2 ** 31
/** Takes the position out of 32 bits, whose overflow is harmless as 2^31 divides 2^32. */
const MASK = 0x7fffffff
