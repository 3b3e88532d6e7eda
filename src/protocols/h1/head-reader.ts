/** Reads heads one after the other, whole or in pieces. */
import { ProxyError } from '../../error/index.js'
import { NEED_MORE, SectionReader } from './section-reader.js'
import type { SectionLimits } from './section-reader.js'

/** Parses the head that starts at `start`, where all of it is there before `to`; else `null`. */
export type ParseHead<Head> = (buffer: Buffer, start: number, to: number) => Head | null

/**
 * Nearly every head is there as a whole after one read, and then its bytes are looked at once, by
 * the parser itself. The others are gathered first, each byte copied once.
 */
export class HeadReader<Head extends { readonly end: number }> {
  /** The position after the bytes that the last `read` has taken. */
  next = 0
  readonly #sections: SectionReader
  readonly #limits: SectionLimits
  readonly #parse: ParseHead<Head>
  readonly #oneLookBytes: number

  constructor(limits: SectionLimits, parse: ParseHead<Head>) {
    this.#limits = limits
    this.#parse = parse
    this.#sections = new SectionReader(limits)
    // What is within all limits can be parsed before they are checked.
    this.#oneLookBytes = Math.min(ONE_LOOK_BYTES, limits.maxStartLineBytes, limits.maxFieldBytes)
  }

  /** Whether bytes of a head have come and its end has not. */
  get begun(): boolean {
    return this.#sections.begun
  }

  /**
   * Takes bytes of `buffer[from, to)` up to the end of the head, and returns it, or `null` when it
   * goes on; sets `next`. @throws {@link ProxyError} with a code of the limits or the parser.
   */
  read(buffer: Buffer, from: number, to: number): Head | null {
    if (this.#sections.isFresh) {
      const head = this.#lookOnce(buffer, from, Math.min(to, from + this.#oneLookBytes))
      if (head !== null) {
        this.next = head.end
        return head
      }
    }
    const position = this.#sections.feed(buffer, from, to)
    if (position === NEED_MORE) {
      this.next = to
      return null
    }
    this.next = position
    const { buffer: gathered, start, end } = this.#sections
    const head = this.#parse(gathered, start, end)
    if (head === null) throw new ProxyError(this.#limits.invalidCode)
    return head
  }

  /** A fault counts once the head is complete, however it is cut: then the gathered head has it too. */
  #lookOnce(buffer: Buffer, from: number, to: number): Head | null {
    try {
      return this.#parse(buffer, from, to)
    } catch {
      return null
    }
  }
}

/** Longer heads are rare enough to be gathered. */
const ONE_LOOK_BYTES = 4_096
