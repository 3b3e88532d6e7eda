/** Reads a chunked body (RFC 9112 §7.1) off bytes as they come, for the judge that tests use. */
import type { ByteLog } from './byte-log.js'
import { HeaderFields } from './header-fields.js'
import { readRawFields, shown } from './raw-head.js'

/** The chunks and the trailer section of one message. Each byte is looked at once. */
export class RawChunks {
  readonly #bytes: ByteLog
  /** Begin and end of each chunk's data, in turn. */
  readonly #data: number[] = []
  readonly #trailerLines: string[] = []
  /** Where the line, or the end of the data, that is being waited for starts. */
  #at: number
  /** Up to where no line end was found. */
  #scanned: number
  #waitsFor: 'size' | 'data' | 'trailer' = 'size'
  /** Fields of the trailer section, once it is complete. */
  trailers: HeaderFields = new HeaderFields()

  constructor(bytes: ByteLog, from: number) {
    this.#bytes = bytes
    this.#at = from
    this.#scanned = from
  }

  /** What the message would end in if it ended now. */
  get where(): 'body' | 'trailers' {
    return this.#waitsFor === 'trailer' ? 'trailers' : 'body'
  }

  /** Where the message ends, what is wrong with it, or `null` while more bytes are needed. */
  read(): number | string | null {
    for (;;) {
      if (this.#waitsFor === 'data') {
        const fault = this.#readDataEnd()
        if (fault !== '') return fault
      }
      const line = this.#takeLine()
      if (line === null) return null
      if (this.#waitsFor === 'size') {
        const fault = this.#readSize(line)
        if (fault !== '') return fault
      } else if (line === '') return this.#readTrailers()
      else this.#trailerLines.push(line)
    }
  }

  /** A copy of the data that came so far. */
  body(): Buffer {
    const pieces: Buffer[] = []
    for (let i = 0; i < this.#data.length; i += 2) {
      pieces.push(this.#bytes.slice(this.#data[i], this.#data[i + 1]))
    }
    return Buffer.concat(pieces)
  }

  #readSize(line: string): string {
    const digits = CHUNK_LINE.exec(line)?.[1]
    if (digits === undefined) return `chunk size ${shown(line)}`
    const size = Number.parseInt(digits, 16)
    if (size === 0) {
      this.#waitsFor = 'trailer'
      return ''
    }
    this.#data.push(this.#at, this.#at + size)
    this.#waitsFor = 'data'
    this.#at += size
    this.#scanned = this.#at
    return ''
  }

  /** Behind the data there must be a line end and nothing else. */
  #readDataEnd(): string {
    const rest = this.#bytes.text(this.#at, this.#at + 2)
    if (!'\r\n'.startsWith(rest)) return `${shown(rest)} behind the data of a chunk`
    if (rest.length < 2) return ''
    this.#at += 2
    this.#waitsFor = 'size'
    return ''
  }

  #readTrailers(): number | string {
    const { headers, fault } = readRawFields(this.#trailerLines)
    this.trailers = headers
    return fault === '' ? this.#at : fault
  }

  /** The next line without its end, or `null` while that has not come. */
  #takeLine(): string | null {
    if (this.#waitsFor === 'data') return null
    const end = this.#bytes.indexOf('\r\n', Math.max(this.#at, this.#scanned - 1))
    if (end < 0) {
      this.#scanned = this.#bytes.length
      return null
    }
    const line = this.#bytes.text(this.#at, end)
    this.#at = end + 2
    return line
  }
}

/** Extensions may be anything printable. Up to 13 digits: what a number holds exactly. */
const CHUNK_LINE = /^([0-9A-Fa-f]{1,13})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/
