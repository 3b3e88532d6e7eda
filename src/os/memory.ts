/** `Memory`: bytes that stay where they are, so that the kernel may be told their address. */
import type { Libc } from './libc.js'

/**
 * Bytes with an address. V8 keeps small typed arrays on its own heap, where a collection moves
 * them; these are never there. Whoever gives the address away keeps the object until it is used up.
 */
export class Memory {
  readonly bytes: Buffer
  readonly address: number

  private constructor(bytes: Buffer, address: number) {
    this.bytes = bytes
    this.address = address
  }

  /** Memory that goes when nobody refers to it any more, or when its thread ends. */
  static allocate(libc: Libc, length: number): Memory {
    const bytes = Buffer.from(new ArrayBuffer(length))
    return new Memory(bytes, libc.addressOf(bytes))
  }

  /** Memory that is mapped already. */
  static at(libc: Libc, address: number, length: number): Memory {
    return new Memory(Buffer.from(libc.viewOf(BigInt(address), length)), address)
  }

  /**
   * Memory that outlives its thread: what the kernel still writes when the thread has ended hits
   * nobody else. It stays until somebody unmaps it.
   * @returns `count` pieces of `length` bytes and the range that holds them; `null` where there is none left.
   */
  static map(libc: Libc, length: number, count: number): MappedPieces | null {
    try {
      const range = length * count
      const pointer = libc.mmap(null, range, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)
      const address = libc.addressOf(new Uint8Array(libc.viewOf(pointer, range)))
      const pieces = Array.from({ length: count }, (_, index) =>
        Memory.at(libc, address + index * length, length),
      )
      return { pieces, address, length: range }
    } catch {
      return null
    }
  }
}

/** Memory that is mapped. */
export interface MappedRange {
  readonly address: number
  readonly length: number
}

/** The same, in pieces. */
export interface MappedPieces extends MappedRange {
  readonly pieces: readonly Memory[]
}

const PROT_READ_WRITE = 3
const MAP_PRIVATE_ANONYMOUS = 0x22
