/** Takes message bodies out of the byte stream: by length, in chunks, or until the end. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { HeaderMap } from '../../http/index.js'
import { CR, HEX_VALUE, IS_VALUE, LF, SEMICOLON } from './byte-classes.js'
import { CHUNKED, UNTIL_CLOSE } from './head-facts.js'
import type { BodyLength } from './head-facts.js'
import { parseTrailers } from './parse-trailers.js'
import { NEED_MORE, SectionReader } from './section-reader.js'

/** Codes for what can be wrong with a body, by the side it comes from. */
export interface BodyCodes {
  /** The framing is broken. */
  readonly invalidCode: ErrorCode
  /** The stream ended before the body did. */
  readonly incompleteCode: ErrorCode
}

/**
 * Decodes one body after another. `next` takes bytes until it has a piece of data or needs more, so
 * that the caller can stop between two pieces. Pieces are ranges of the caller's buffer: no copies.
 */
export class BodyDecoder {
  /** Where in its buffer the piece of data starts that the last `next` found. */
  dataStart = 0
  /** After the last byte of that piece; equal to `dataStart` when there is none. */
  dataEnd = 0
  /** Whether the body is complete. */
  done = true
  /** The trailer fields, once a chunked body with some is complete. */
  trailers: HeaderMap | null = null

  readonly #codes: BodyCodes
  #state: State = 'length'
  /** Bytes left of the body or of the chunk. */
  #left = 0
  #sizeDigits = 0
  /** Bytes of the chunk line so far, counted from the start of its extensions on. */
  #lineBytes = 0
  /** Bytes of chunk lines with extensions, less those of the data that came with them. */
  #extensionBytes = 0
  #trailerReader: SectionReader | null = null

  constructor(codes: BodyCodes) {
    this.#codes = codes
  }

  /** Starts a body of `length`. */
  start(length: BodyLength): void {
    this.done = length === 0
    this.trailers = null
    this.#extensionBytes = 0
    this.#left = Math.max(0, length)
    if (length === CHUNKED) this.#startChunk()
    else this.#state = length === UNTIL_CLOSE ? 'until-close' : 'length'
  }

  /**
   * Takes bytes of `buffer[from, to)`; returns the position after the last one taken, and sets
   * `dataStart` and `dataEnd`. Bytes after a body that is done are not taken.
   * @throws {@link ProxyError} the invalid code.
   */
  next(buffer: Buffer, from: number, to: number): number {
    this.dataStart = from
    this.dataEnd = from
    if (this.done) return from
    switch (this.#state) {
      case 'length':
        return this.#takeData(from, to)
      case 'until-close':
        this.dataEnd = to
        return to
      default:
        return this.#nextChunked(buffer, from, to)
    }
  }

  /** The stream ended. @throws {@link ProxyError} the incomplete code, unless that ends the body. */
  finish(): void {
    if (this.done) return
    if (this.#state !== 'until-close') throw new ProxyError(this.#codes.incompleteCode)
    this.done = true
  }

  #takeData(from: number, to: number): number {
    const taken = Math.min(this.#left, to - from)
    this.dataStart = from
    this.dataEnd = from + taken
    this.#left -= taken
    if (this.#left === 0) {
      if (this.#state === 'length') this.done = true
      else this.#state = 'data-cr'
    }
    return this.dataEnd
  }

  #nextChunked(buffer: Buffer, from: number, to: number): number {
    let at = from
    while (at < to) {
      if (this.#state === 'data') return this.#takeData(at, to)
      if (this.#state === 'trailers') return this.#takeTrailers(buffer, at, to)
      this.#takeFraming(buffer[at]!)
      at++
    }
    this.dataStart = at
    this.dataEnd = at
    return at
  }

  /** One byte of a chunk line or of the CRLF after chunk data (RFC 9112 §7.1). */
  #takeFraming(byte: number): void {
    switch (this.#state) {
      case 'size':
        this.#takeSizeByte(byte)
        return
      case 'extension':
        if (byte === CR) this.#endExtension()
        else if (++this.#lineBytes > MAX_CHUNK_LINE_BYTES)
          throw this.#invalid('a chunk line is too long')
        else if (IS_VALUE[byte] !== 1) throw this.#invalid('a control in a chunk extension')
        return
      case 'size-lf':
        if (byte !== LF) throw this.#invalid('a chunk line does not end with CRLF')
        this.#state = this.#left === 0 ? 'trailers' : 'data'
        return
      case 'data-cr':
        if (byte !== CR) throw this.#invalid('chunk data does not end with CRLF')
        this.#state = 'data-lf'
        return
      default:
        if (byte !== LF) throw this.#invalid('chunk data does not end with CRLF')
        this.#startChunk()
    }
  }

  #takeSizeByte(byte: number): void {
    const digit = HEX_VALUE[byte]!
    if (digit !== NOT_HEX) {
      this.#left = this.#left * 16 + digit
      if (++this.#sizeDigits > MAX_SIZE_DIGITS) throw this.#invalid('a chunk size is too large')
      return
    }
    if (this.#sizeDigits === 0) throw this.#invalid('a chunk has no size')
    if (byte === CR) this.#state = 'size-lf'
    else if (byte === SEMICOLON) this.#startExtension()
    else throw this.#invalid('a chunk size is not hexadecimal')
  }

  #startExtension(): void {
    this.#state = 'extension'
    this.#lineBytes = this.#sizeDigits + 1
  }

  /** Extensions nobody reads may not cost much more than the data they come with. */
  #endExtension(): void {
    this.#state = 'size-lf'
    this.#extensionBytes = Math.max(0, this.#extensionBytes + this.#lineBytes - this.#left)
    if (this.#extensionBytes > MAX_EXTENSION_BYTES) throw this.#invalid('too many chunk extensions')
  }

  #startChunk(): void {
    this.#state = 'size'
    this.#left = 0
    this.#sizeDigits = 0
  }

  #takeTrailers(buffer: Buffer, from: number, to: number): number {
    // Almost always there are none, and then no reader is made.
    if (
      buffer[from] === CR &&
      buffer[from + 1] === LF &&
      from + 1 < to &&
      !this.#trailerReader?.begun
    ) {
      return this.#endChunked(from + 2)
    }
    const { invalidCode } = this.#codes
    this.#trailerReader ??= new SectionReader({
      maxStartLineBytes: 0,
      maxEmptyLines: 0,
      maxFieldBytes: MAX_TRAILER_BYTES,
      startLineCode: invalidCode,
      fieldCode: invalidCode,
      invalidCode,
    })
    const reader = this.#trailerReader
    const position = reader.feed(buffer, from, to)
    if (position === NEED_MORE) {
      this.dataStart = to
      this.dataEnd = to
      return to
    }
    this.trailers = parseTrailers(reader.buffer, reader.start, reader.end, invalidCode)
    return this.#endChunked(position)
  }

  #endChunked(position: number): number {
    this.done = true
    this.dataStart = position
    this.dataEnd = position
    return position
  }

  #invalid(message: string): ProxyError {
    return new ProxyError(this.#codes.invalidCode, message)
  }
}

type State =
  | 'length'
  | 'until-close'
  | 'size'
  | 'extension'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'trailers'

const NOT_HEX = 255
/** 13 digits are 52 bits: every size is an exact number. */
const MAX_SIZE_DIGITS = 13
const MAX_CHUNK_LINE_BYTES = 4_096
const MAX_EXTENSION_BYTES = 16_384
const MAX_TRAILER_BYTES = 16_384
