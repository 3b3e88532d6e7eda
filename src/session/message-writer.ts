/** Writes one HTTP/1 message after another with as few system calls as there can be. */
import { ProxyError } from '../error/index.js'
import type { HeaderMap } from '../http/index.js'
import {
  CHUNKED,
  CHUNK_END,
  UNTIL_CLOSE,
  chunkStart,
  lastChunk,
  latin1Text,
} from '../protocols/index.js'
import type { BodyLength } from '../protocols/index.js'
import type { Connection } from '../transport/index.js'

/**
 * Head, framing and small data gather as text and leave in one write, at the latest with `flush`;
 * large data leaves together with the text before it. Keeps the body to its declared length.
 */
export class MessageWriter {
  /** Whether the message is complete. */
  done = true
  /** Body bytes written of this message, before chunk framing. */
  bodyBytes = 0
  readonly #connection: Connection
  #text = ''
  #bodyLength: BodyLength = 0

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Starts a message; `head` is complete with its empty line. */
  head(head: string, bodyLength: BodyLength): void {
    this.#text += head
    this.#bodyLength = bodyLength
    this.bodyBytes = 0
    this.done = false
  }

  /** An interim head, which starts nothing; it leaves at once, for it is news only when early. */
  interim(head: string): void {
    this.#connection.write(this.#text + head)
    this.#text = ''
  }

  /**
   * Writes `buffer[from, to)`, which must not change while the result is `false` until the drain.
   * @throws {@link ProxyError} `PGR_BODY_LENGTH_MISMATCH` when the body gets longer than declared.
   */
  data(buffer: Buffer, from: number, to: number): boolean {
    const length = to - from
    if (length === 0) return true
    this.bodyBytes += length
    if (this.#bodyLength >= 0 && this.bodyBytes > this.#bodyLength) throw lengthMismatch('longer')
    const chunked = this.#bodyLength === CHUNKED
    if (chunked) this.#text += chunkStart(length)
    if (length <= MAX_TEXT_DATA_BYTES) {
      this.#text += latin1Text(buffer, from, to)
      if (chunked) this.#text += CHUNK_END
      if (this.#text.length >= MAX_TEXT_BYTES) return this.flush()
      // Small pieces must wait for a slow reader as large ones do, or they pile up behind it.
      return this.#connection.pendingBytes === 0
    }
    const data = from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to)
    if (this.#text === '' && !chunked) return this.#connection.write(data)
    this.#connection.cork()
    this.#connection.write(this.#text)
    this.#text = ''
    this.#connection.write(data)
    if (chunked) this.#connection.write(CHUNK_END)
    return this.#connection.uncork()
  }

  /**
   * Ends the message and sends all that is held back.
   * @throws {@link ProxyError} `PGR_BODY_LENGTH_MISMATCH` when the body is shorter than declared.
   */
  end(trailers: HeaderMap | null): boolean {
    if (this.#bodyLength >= 0 && this.bodyBytes < this.#bodyLength) throw lengthMismatch('shorter')
    this.done = true
    if (this.#bodyLength === CHUNKED) this.#text += lastChunk(trailers)
    return this.flush()
  }

  /** Sends what is held back. Returns `false` when some is pending. */
  flush(): boolean {
    if (this.#text === '') return this.#connection.pendingBytes === 0
    const text = this.#text
    this.#text = ''
    return this.#connection.write(text)
  }

  /** Whether nothing is missing of the message, though its end may not have been called. */
  get isComplete(): boolean {
    return this.done || (this.#bodyLength >= 0 && this.bodyBytes === this.#bodyLength)
  }

  /** Whether the body ends with the connection. */
  get endsWithConnection(): boolean {
    return this.#bodyLength === UNTIL_CLOSE
  }
}

/** A body that is `longer` or `shorter` than its head has promised. */
export function lengthMismatch(how: 'longer' | 'shorter'): ProxyError {
  return new ProxyError('PGR_BODY_LENGTH_MISMATCH', `the body is ${how} than its Content-Length`)
}

/** Up to here copying data into the text costs less than a second buffer in the write. */
const MAX_TEXT_DATA_BYTES = 4_096
/** Text that has grown to this leaves before the end of the read. */
const MAX_TEXT_BYTES = 65_536
