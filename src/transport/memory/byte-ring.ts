/** `ByteRing`: bytes first in, first out, in one piece of memory that is used again and again. */
import { crc32 } from 'node:zlib'

/** Grows up to the most bytes it ever holds at once; copies in and out, never byte by byte. */
export class ByteRing {
  /** Bytes it holds. */
  length = 0
  #memory: Buffer = NOTHING
  /** Where the first byte is. */
  #start = 0

  /** Appends latin1 text or bytes from `from` up to `to`. */
  append(data: string | Uint8Array, from: number, to: number): void {
    const count = to - from
    if (this.length + count > this.#memory.length) this.#grow(this.length + count)
    const memory = this.#memory
    const at = this.#wrapped(this.#start + this.length)
    const first = Math.min(count, memory.length - at)
    if (typeof data === 'string') {
      memory.write(from === 0 ? data : data.slice(from, to), at, first, 'latin1')
      if (first < count) memory.write(data.slice(from + first, to), 0, count - first, 'latin1')
    } else {
      const isAll = from === 0 && first === data.length
      memory.set(isAll ? data : data.subarray(from, from + first), at)
      if (first < count) memory.set(data.subarray(from + first, to), 0)
    }
    this.length += count
  }

  /** Moves the first `count` bytes to the start of `target`. */
  read(target: Buffer, count: number): void {
    const memory = this.#memory
    const first = Math.min(count, memory.length - this.#start)
    // `set` of a part is cheaper than `copy`, which checks every argument again.
    target.set(memory.subarray(this.#start, this.#start + first))
    if (first < count) target.set(memory.subarray(0, count - first), first)
    this.skip(count)
  }

  /** Drops the first `count` bytes. */
  skip(count: number): void {
    this.length -= count
    // An empty ring starts over at 0, so that most of what passes through is never cut in two.
    this.#start = this.length === 0 ? 0 : this.#wrapped(this.#start + count)
  }

  /** Drops all but the first `length` bytes. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length)
  }

  /** Drops everything, memory included. */
  clear(): void {
    this.length = 0
    this.#start = 0
    this.#memory = NOTHING
  }

  /** The CRC-32 of `count` bytes behind the first `skipped` ones. */
  checksum(skipped: number, count: number): number {
    const memory = this.#memory
    const at = this.#wrapped(this.#start + skipped)
    const first = Math.min(count, memory.length - at)
    const sum = crc32(memory.subarray(at, at + first))
    return first < count ? crc32(memory.subarray(0, count - first), sum) : sum
  }

  #wrapped(index: number): number {
    return index < this.#memory.length ? index : index - this.#memory.length
  }

  #grow(needed: number): void {
    const { length } = this
    const size = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(needed)))
    // Small ones come from Node's pool: most connections carry little, and there are many of them.
    const memory = Buffer.allocUnsafe(size)
    this.read(memory, length)
    this.#memory = memory
    this.#start = 0
    this.length = length
  }
}

const NOTHING = Buffer.alloc(0)
const MIN_BYTES = 1024
