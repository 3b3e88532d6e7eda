/** `LentBuffer`: the memory that a memory connection lends its handler, spoilt when it comes back. */

/** One buffer for all reads, until somebody keeps it. */
export class LentBuffer {
  #memory: Buffer | null = null
  /** The same memory: filling it costs an eighth of what `Buffer.fill` takes for a few bytes. */
  #bytes = new Uint8Array(0)
  #lent = false
  #retained = false

  /** Memory for `length` bytes, longer than that where it can be, as that of a real read is. */
  lend(length: number): Buffer {
    let memory = this.#memory
    if (memory === null || memory.length < length) {
      this.#bytes = new Uint8Array(sizeFor(length)).fill(SPOILT)
      memory = Buffer.from(this.#bytes.buffer)
      this.#memory = memory
    }
    this.#lent = true
    return memory
  }

  /** While it is lent: the borrower keeps it, and the next read gets other memory. */
  retain(): void {
    if (this.#lent) this.#retained = true
  }

  /** The borrower's time is over: who reads these bytes later than now reads nonsense. */
  takeBack(length: number): void {
    this.#lent = false
    if (this.#retained) {
      this.#retained = false
      this.#memory = null
    } else this.#bytes.fill(SPOILT, 0, length)
  }
}

function sizeFor(length: number): number {
  return Math.max(MIN_BYTES, Math.min(MAX_BYTES, 2 ** Math.ceil(Math.log2(length + 1))))
}

/** No byte of a text and no small number, so that it shows. */
const SPOILT = 0xaa
const MIN_BYTES = 1024
/** No piece is longer. */
const MAX_BYTES = 64 * 1024
