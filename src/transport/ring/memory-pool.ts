/** `MemoryPool`: memory for the ring's operations, used again and again. */
import { Memory } from '../../os/internal.js'
import type { Libc } from '../../os/internal.js'

/** Pieces of equal size, taken last in first out so that they stay in the processor's caches. */
export class MemoryPool {
  /** The size of each piece. */
  readonly pieceBytes: number
  readonly #libc: Libc
  readonly #maxFree: number
  readonly #free: Memory[] = []

  /** @param maxFree pieces that are kept; what a burst needed beyond goes back to the system. */
  constructor(libc: Libc, pieceBytes: number, maxFree: number) {
    this.#libc = libc
    this.pieceBytes = pieceBytes
    this.#maxFree = maxFree
  }

  /** A piece, with whatever is in it. */
  take(): Memory {
    return this.#free.pop() ?? new Memory(this.#libc, this.pieceBytes)
  }

  /** Takes a piece back that neither the kernel nor anybody else uses any more. */
  give(memory: Memory): void {
    if (this.#free.length < this.#maxFree) this.#free.push(memory)
  }
}
