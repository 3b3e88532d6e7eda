/**
 * Takes HTTP/1 messages off bytes as they come, by the plainest code there is. It judges the codec
 * of `src/protocols`: it shares nothing with it, and is strict wherever RFC 9112 says MUST.
 */
import type { ByteLog } from './byte-log.js'
import { HeaderFields } from './header-fields.js'
import { RawChunks } from './raw-chunks.js'
import { readRawHead } from './raw-head.js'
import type { RawHead } from './raw-head.js'
import { RawMessage } from './raw-message.js'

/** Whether more bytes can come: `ended` after a FIN, `broken` after a reset or a close without FIN. */
export type StreamState = 'open' | 'ended' | 'broken'

/** Reads one message after the other. Each byte is looked at once, however they come in pieces. */
export class RawMessageReader {
  readonly #bytes: ByteLog
  /** Where the message that is being read starts. */
  #cursor = 0
  /** Up to where no end of the head was found. */
  #scanned = 0
  /** Of the request that is answered by the message being read; empty for a request. */
  #method = ''
  #head: RawHead | null = null
  #headEnd = 0
  #chunks: RawChunks | null = null
  /** What is wrong with the message; nothing behind it can be read any more. */
  #fault = ''

  constructor(bytes: ByteLog) {
    this.#bytes = bytes
  }

  /** Where the next message starts: the number of bytes of all messages taken. */
  get cursor(): number {
    return this.#cursor
  }

  /**
   * Takes the next message, each interim response (1xx) as one of its own. `null` while more bytes
   * are needed, and when none are left. A message that can never be whole is returned with its
   * `fault`, but not taken: it is returned each time.
   * @param method of the request that a response answers (HEAD has no body); empty for a request.
   */
  next(method: string, state: StreamState): RawMessage | null {
    if (method !== this.#method) this.#begin(this.#cursor, method)
    if (this.#bytes.length === this.#cursor) return null
    const result = this.#fault === '' ? this.#read(state) : this.#fault
    if (typeof result === 'string') {
      this.#fault = result
      return this.#message(this.#bytes.length, `malformed: ${result}`)
    }
    if (result !== null) {
      const message = this.#message(result, '')
      this.#begin(result, method)
      return message
    }
    if (state === 'open') return null
    const where = this.#head === null ? 'head' : (this.#chunks?.where ?? 'body')
    return this.#message(this.#bytes.length, `${state} in the ${where}`)
  }

  #begin(at: number, method: string): void {
    this.#cursor = at
    this.#scanned = at
    this.#method = method
    this.#head = null
    this.#chunks = null
    this.#fault = ''
  }

  /** Where the message ends, what is wrong with it, or `null` while that is not known. */
  #read(state: StreamState): number | string | null {
    const head = (this.#head ??= this.#readHead())
    if (head === null) return null
    if (head.fault !== '') return head.fault
    switch (head.framing) {
      case 'none':
      case 'length': {
        const end = this.#headEnd + head.bodyBytes
        return this.#bytes.length < end ? null : end
      }
      case 'close':
        return state === 'ended' ? this.#bytes.length : null
      case 'chunked':
        this.#chunks ??= new RawChunks(this.#bytes, this.#headEnd)
        return this.#chunks.read()
    }
  }

  #readHead(): RawHead | null {
    const emptyLine = this.#bytes.indexOf('\r\n\r\n', Math.max(this.#cursor, this.#scanned - 3))
    if (emptyLine < 0) {
      this.#scanned = this.#bytes.length
      return null
    }
    this.#headEnd = emptyLine + 4
    return readRawHead(this.#bytes.text(this.#cursor, this.#headEnd), this.#method)
  }

  #message(end: number, fault: string): RawMessage {
    const raw = this.#bytes.slice(this.#cursor, end)
    const head = this.#head ?? NO_HEAD
    const bodyFrom = this.#head === null ? raw.length : head.text.length
    return new RawMessage({
      startLine: head.startLine,
      lines: head.lines,
      head: head.text,
      headers: head.headers,
      body: this.#chunks?.body() ?? raw.subarray(bodyFrom),
      trailers: this.#chunks?.trailers ?? new HeaderFields(),
      raw,
      framing: head.framing,
      fault,
    })
  }
}

const NO_HEAD: RawHead = {
  startLine: '',
  lines: [],
  text: '',
  headers: new HeaderFields(),
  framing: 'none',
  bodyBytes: 0,
  fault: '',
}
