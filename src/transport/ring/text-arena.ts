/** `TextArena`: where text lies while it is handed to the kernel. */
import { Memory } from '../../os/internal.js'
import type { Libc } from '../../os/internal.js'

/**
 * Memory that is filled from its start each time. All text of a round lies close together, in lines of
 * the processor's cache that the last round has used.
 */
export class TextArena {
  readonly address: number
  readonly #bytes: Buffer
  #used = 0
  /** Text that has its place behind the rest, and is not there yet. */
  #unwritten = ''

  constructor(libc: Libc) {
    const { bytes, address } = Memory.allocate(libc, ARENA_BYTES)
    this.#bytes = bytes
    this.address = address
  }

  /**
   * Takes latin1 text; returns where it lies once it is written, from {@link address}, or -1 when
   * there is no room.
   */
  place(text: string): number {
    const at = this.#used
    if (at + text.length > ARENA_BYTES) return -1
    this.#used = at + text.length
    this.#unwritten += text
    return at
  }

  /** Writes all text that was placed: one call for all, which costs more than most texts do. */
  write(): void {
    const text = this.#unwritten
    if (text === '') return
    this.#unwritten = ''
    writeLatin1(this.#bytes, text, this.#used - text.length, text.length)
  }

  /** The text that lies there. */
  read(from: number, to: number): string {
    return this.#bytes.toString('latin1', from, to)
  }

  /** Forgets all text. */
  clear(): void {
    this.#used = 0
  }
}

/** `write` ends in this method of every Node; calling it saves the look-up of the encoding. */
export function writeLatin1(bytes: Buffer, text: string, at: number, length: number): void {
  ;(
    bytes as Buffer & { latin1Write(text: string, offset: number, length: number): number }
  ).latin1Write(text, at, length)
}

/** Text of more than a hundred messages; what comes beyond is sent in other ways. */
const ARENA_BYTES = 256 * 1024
