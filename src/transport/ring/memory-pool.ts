/** `MemoryPool`: memory for the ring's operations, used again and again. */
import { Memory } from '../../os/internal.js'
import type { Libc, MappedRange } from '../../os/internal.js'

/**
 * Pieces of equal size, taken last in first out so that they stay in the processor's caches. They
 * are mapped and outlive the thread, because a receive may be in progress when it ends; a pool
 * never gives memory back to the system, and keeps as much as was in use at once.
 */
export class MemoryPool {
  /** The size of each piece. */
  readonly pieceBytes: number
  /** Told of every range that is mapped. */
  onMapped: ((range: MappedRange) => void) | null = null
  readonly #libc: Libc
  readonly #free: Memory[] = []
  readonly #ranges: MappedRange[] = []
  readonly #lent = new FinalizationRegistry<number>((address) => {
    this.give(Memory.at(this.#libc, address, this.pieceBytes))
  })

  constructor(libc: Libc, pieceBytes: number) {
    this.pieceBytes = pieceBytes
    this.#libc = libc
  }

  /** The ranges that are mapped. */
  get ranges(): readonly MappedRange[] {
    return this.#ranges
  }

  /** A piece, with whatever is in it. */
  take(): Memory {
    return this.#free.pop() ?? this.#more()
  }

  /** Gives a piece away to who keeps views of it; it comes back when they have all gone. */
  lend({ bytes, address }: Memory): void {
    this.#lent.register(bytes.buffer, address)
  }

  /** Takes a piece back that neither the kernel nor anybody else uses any more. */
  give(memory: Memory): void {
    this.#free.push(memory)
  }

  #more(): Memory {
    const range = Memory.map(this.#libc, this.pieceBytes, RANGE_BYTES / this.pieceBytes)
    if (range === null) return Memory.allocate(this.#libc, this.pieceBytes)
    const { pieces, address, length } = range
    // Without the pieces: one that was lent has to be able to go.
    this.#ranges.push({ address, length })
    this.onMapped?.({ address, length })
    this.#free.push(...pieces)
    return this.#free.pop()!
  }
}

/** What is mapped at a time; pages that are not used yet cost nothing. */
const RANGE_BYTES = 1024 * 1024
