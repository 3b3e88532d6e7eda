/** Finds where a head or trailer section ends, over as many reads as it takes. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { CR, IS_VALUE, LF } from './byte-classes.js'

/** {@link SectionReader.feed} returns this when the section goes on. */
export const NEED_MORE = -1

/** Limits of a section and the codes of breaking them. */
export interface SectionLimits {
  /** Bytes of the start line, its end not counted; 0 for a section without one (trailers). */
  readonly maxStartLineBytes: number
  /** Empty lines that may come before the start line (RFC 9112 §2.2). */
  readonly maxEmptyLines: number
  /** Bytes of all field lines together. */
  readonly maxFieldBytes: number
  /** Broken start-line limit. */
  readonly startLineCode: ErrorCode
  /** Broken field limit. */
  readonly fieldCode: ErrorCode
  /** Bytes that cannot stand in a section. */
  readonly invalidCode: ErrorCode
}

/**
 * Reads lines up to and with the empty line that ends the section (RFC 9112 §2.1). A section within
 * one read is left where it is; one that spans reads is gathered in a buffer of its own, each byte
 * looked at once. Lines end with CRLF: a bare LF is refused, as it ends lines for some and not for
 * others (RFC 9112 §2.2 allows either).
 */
export class SectionReader {
  /** Holds the complete section after `feed` returned a position. */
  buffer: Buffer = EMPTY
  /** Where the section starts in `buffer`. */
  start = 0
  /** After the empty line. */
  end = 0

  readonly #limits: SectionLimits
  /** Bytes of earlier reads; empty while the section lies in one read. */
  #held: Buffer = EMPTY
  #heldLength = 0
  /** Offsets from the start of the section. */
  #scanned = 0
  #lineStart = 0
  #startLineEnd = -1
  #skippedLines = 0

  constructor(limits: SectionLimits) {
    this.#limits = limits
    this.#startLineEnd = limits.maxStartLineBytes === 0 ? 0 : -1
  }

  /** Whether nothing has come yet, not even an empty line before a start line. */
  get isFresh(): boolean {
    return this.#heldLength === 0 && this.#skippedLines === 0
  }

  /** Whether bytes of a section have come and its end has not. */
  get begun(): boolean {
    return this.#heldLength > 0
  }

  /**
   * Looks at `buffer[from, to)`. Returns the position after the section and sets `buffer`, `start`
   * and `end`, or {@link NEED_MORE}; then all bytes were taken.
   * @throws {@link ProxyError} with a code of the limits.
   */
  feed(buffer: Buffer, from: number, to: number): number {
    let at = from
    if (this.#heldLength > 0) {
      if (!this.#isEmptyLineCut(buffer, from, to)) return this.#feedHeld(buffer, from, to)
      this.#dropEmptyLine()
      at++
    }
    const start = this.#skipEmptyLines(buffer, at, to)
    const length = this.#scan(buffer, start, to - start)
    if (length !== NEED_MORE) {
      this.#finish(buffer, start, length)
      return start + length
    }
    if (start < to) this.#hold(buffer, start, to)
    return NEED_MORE
  }

  #feedHeld(buffer: Buffer, from: number, to: number): number {
    const before = this.#heldLength
    this.#hold(buffer, from, to)
    const length = this.#scan(this.#held, 0, this.#heldLength)
    if (length === NEED_MORE) return NEED_MORE
    this.#finish(this.#held, 0, length)
    return from + (length - before)
  }

  /** Whether all that is held is the CR of an empty line before the start line, and its LF comes. */
  #isEmptyLineCut(buffer: Buffer, from: number, to: number): boolean {
    return (
      this.#heldLength === 1 &&
      this.#startLineEnd < 0 &&
      this.#held[0] === CR &&
      from < to &&
      buffer[from] === LF
    )
  }

  #dropEmptyLine(): void {
    this.#heldLength = 0
    this.#scanned = 0
    this.#countEmptyLine()
  }

  /** An empty line before a start line is ignored (RFC 9112 §2.2), but only so often. */
  #skipEmptyLines(buffer: Buffer, from: number, to: number): number {
    let start = from
    while (
      this.#startLineEnd < 0 &&
      start + 1 < to &&
      buffer[start] === CR &&
      buffer[start + 1] === LF
    ) {
      start += 2
      this.#countEmptyLine()
    }
    return start
  }

  #countEmptyLine(): void {
    if (++this.#skippedLines > this.#limits.maxEmptyLines)
      throw this.#error(this.#limits.invalidCode)
  }

  /** The length of the section that starts at `base`, or {@link NEED_MORE}. */
  #scan(buffer: Buffer, base: number, length: number): number {
    const end = base + length
    for (let position = base + this.#scanned; position < end; position++) {
      while (position < end && buffer[position] !== LF) position++
      if (position === end) break
      if (position === base || buffer[position - 1] !== CR) {
        throw this.#error(this.#limits.invalidCode)
      }
      const at = position - base + 1
      const lineLength = at - 2 - this.#lineStart
      if (this.#startLineEnd < 0) {
        if (lineLength > this.#limits.maxStartLineBytes)
          throw this.#error(this.#limits.startLineCode)
        this.#startLineEnd = at
      } else if (lineLength === 0) {
        this.#checkLimits(at)
        return at
      }
      this.#lineStart = at
    }
    this.#checkIncomplete(buffer, base, length)
    this.#scanned = length
    return NEED_MORE
  }

  /** What cannot become a section is refused at once, not when its time runs out. */
  #checkIncomplete(buffer: Buffer, base: number, length: number): void {
    this.#checkLimits(length)
    for (let at = this.#scanned; at < length; at++) {
      const byte = buffer[base + at]!
      if (IS_VALUE[byte] === 1) continue
      if (byte === LF && at > 0 && buffer[base + at - 1] === CR) continue
      if (byte === CR && (at + 1 === length || buffer[base + at + 1] === LF)) continue
      throw this.#error(this.#limits.invalidCode)
    }
    if (this.#scanned > 0 && this.#scanned < length && buffer[base + this.#scanned - 1] === CR) {
      if (buffer[base + this.#scanned] !== LF) throw this.#error(this.#limits.invalidCode)
    }
  }

  #checkLimits(length: number): void {
    if (this.#startLineEnd < 0) {
      if (length > this.#limits.maxStartLineBytes + 1) throw this.#error(this.#limits.startLineCode)
    } else if (length - this.#startLineEnd > this.#limits.maxFieldBytes) {
      throw this.#error(this.#limits.fieldCode)
    }
  }

  /** Copies bytes into the section's own buffer, which doubles, so that dribbled bytes stay cheap. */
  #hold(buffer: Buffer, from: number, to: number): void {
    // Bytes over the limits are not needed to know that the limits are broken.
    const room = this.#limits.maxStartLineBytes + this.#limits.maxFieldBytes + 4
    const needed = Math.min(this.#heldLength + (to - from), Math.max(room, this.#heldLength))
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#held.length * 2, MIN_HELD_BYTES))
      this.#held.copy(grown, 0, 0, this.#heldLength)
      this.#held = grown
    }
    buffer.copy(this.#held, this.#heldLength, from, from + (needed - this.#heldLength))
    this.#heldLength = needed
  }

  #finish(buffer: Buffer, start: number, length: number): void {
    this.buffer = buffer
    this.start = start
    this.end = start + length
    this.#held = EMPTY
    this.#heldLength = 0
    this.#scanned = 0
    this.#lineStart = 0
    this.#skippedLines = 0
    this.#startLineEnd = this.#limits.maxStartLineBytes === 0 ? 0 : -1
  }

  #error(code: ErrorCode): ProxyError {
    return new ProxyError(code)
  }
}

const EMPTY = Buffer.alloc(0)
const MIN_HELD_BYTES = 512
