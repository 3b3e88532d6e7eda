/** `ReadBuffer`: the memory that one dialled connection reads into, again and again. */

/** Hands out the same memory for every read until someone keeps it. */
export class ReadBuffer {
  #memory: Buffer | null = null

  /** Memory for the next read; made on first use and after {@link renew}. */
  next(): Buffer {
    this.#memory ??= Buffer.allocUnsafeSlow(READ_BYTES)
    return this.#memory
  }

  /** Gives the present memory away: the next read gets another one. */
  renew(): void {
    this.#memory = null
  }
}

/** What the kernel hands over at most per read; more would only cost memory per idle connection. */
const READ_BYTES = 64 * 1024
