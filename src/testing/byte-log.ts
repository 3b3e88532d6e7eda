/** Bytes that only ever grow, in one piece of memory: what came over a connection. */

/**
 * Takes bytes at the end. What {@link ByteLog.slice} returns stays valid and never changes, because
 * bytes are never written twice. Appending costs a copy, O(1) per byte over all.
 */
export class ByteLog {
  #memory: Buffer = Buffer.alloc(0)
  #length = 0

  /** How many bytes there are. */
  get length(): number {
    return this.#length
  }

  /** Adds a copy of the first `length` bytes of `bytes`. */
  append(bytes: Uint8Array, length: number = bytes.length): void {
    const end = this.#length + length
    if (end > this.#memory.length) this.#grow(end)
    this.#memory.set(bytes.subarray(0, length), this.#length)
    this.#length = end
  }

  /** The bytes from `from` up to, not including, `to`; not a copy. */
  slice(from: number = 0, to: number = this.#length): Buffer {
    return this.#memory.subarray(Math.min(from, this.#length), Math.min(to, this.#length))
  }

  /** The bytes from `from` up to, not including, `to` as latin1 text: one character per byte. */
  text(from: number = 0, to: number = this.#length): string {
    return this.slice(from, to).toString('latin1')
  }

  /** Where latin1 `text` begins for the first time at or after `from`, or -1. */
  indexOf(text: string, from: number = 0): number {
    return this.slice().indexOf(text, from, 'latin1')
  }

  #grow(needed: number): void {
    const memory = Buffer.allocUnsafeSlow(Math.max(MIN_BYTES, needed, 2 * this.#memory.length))
    memory.set(this.slice())
    this.#memory = memory
  }
}

/** Enough for a small message, and little enough for thousands of connections. */
const MIN_BYTES = 1024
