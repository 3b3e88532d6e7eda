/** What the fields of an HTTP/1 head say about the message and its connection. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { HeaderMap } from '../../http/index.js'
import type { KnownFields } from '../../http/index.js'
import { bytesAt } from './byte-classes.js'

/** A body length: bytes, or one of {@link CHUNKED}, {@link UNTIL_CLOSE} and {@link TUNNEL}. */
export type BodyLength = number
/** The body comes in chunks (RFC 9112 §7.1). */
export const CHUNKED: BodyLength = -1
/** The body ends with the connection (responses only, RFC 9112 §6.3 rule 8). */
export const UNTIL_CLOSE: BodyLength = -2
/** No body follows the head: from here on the connection is a tunnel, both ways (RFC 9110 §7.8, §9.3.6). */
export const TUNNEL: BodyLength = -3

/** The codes of what can be wrong with fields, by the section that they stand in. */
export interface FieldCodes {
  /** Too many fields. */
  readonly limitCode: ErrorCode
  /** A line that is not a field, or says what cannot be. */
  readonly invalidCode: ErrorCode
}

/**
 * A section as it is read: its bytes, and what its fields say about the message. What frames the
 * message is collected here and never reaches the map.
 */
export class HeadFacts implements KnownFields {
  buffer: Buffer
  /** The latin1 text of the section, and of what follows it as far as it is there. */
  readonly text: string
  /** Where `text` starts in `buffer`. */
  readonly textStart: number
  readonly codes: FieldCodes
  /** Where the section ends, its empty line included; once its fields have been parsed. */
  end = 0
  /** The field lines as they go on; once they have been parsed. */
  lines = ''
  /** From Content-Length; -1 when there is none. */
  bodyLength = -1
  /** Whether there is a `Transfer-Encoding: chunked`. */
  chunked = false
  /** `Connection: close`. */
  close = false
  /** `Connection: keep-alive`. */
  keepAlive = false
  /** `Expect: 100-continue`. */
  expectContinue = false
  /** `TE: trailers`. */
  acceptsTrailers = false
  /** `Connection: upgrade`. */
  connectionUpgrade = false
  /** The values of Upgrade, as one list. */
  upgrade: string | null = null
  /** Host fields seen. */
  hosts = 0
  /** Where the value of the last of them stands in `buffer`. */
  hostStart = 0
  hostEnd = 0
  contentLength: string | undefined = undefined
  hasDate = false
  host: string | undefined = undefined
  hostAt = -1
  /** Fields that Connection names, in lower case; `null` when it names none. */
  #named: string[] | null = null

  constructor(buffer: Buffer, text: string, textStart: number, codes: FieldCodes) {
    this.buffer = buffer
    this.text = text
    this.textStart = textStart
    this.codes = codes
  }

  /** The text of `buffer[start, end)`. */
  slice(start: number, end: number): string {
    return this.text.slice(start - this.textStart, end - this.textStart)
  }

  /**
   * Takes note of one of {@link NOTED_FIELDS}, whose value is `buffer[start, end)` and whose line
   * would start at `lineAt` in the map's lines. Returns whether the field goes on to the map:
   * hop-by-hop fields stay here (RFC 9110 §7.6.1).
   */
  note(key: string, start: number, end: number, lineAt: number): boolean {
    switch (key) {
      case 'content-length':
        this.#noteContentLength(start, end)
        return true
      case 'host':
        this.hostStart = start
        this.hostEnd = end
        this.hostAt = this.hosts++ === 0 ? lineAt : -1
        this.host ??= this.slice(start, end)
        return true
      case 'date':
        this.hasDate = true
        return true
      case 'expect':
        this.expectContinue = this.slice(start, end).toLowerCase() === '100-continue'
        return true
      case 'connection':
        this.#noteConnection(start, end)
        return false
      case 'transfer-encoding':
        this.#noteTransferEncoding(this.slice(start, end))
        return false
      case 'te':
        this.acceptsTrailers ||= TRAILERS.test(this.slice(start, end))
        return false
      case 'upgrade':
        this.upgrade = withValue(this.upgrade, this.slice(start, end))
        return false
      default:
        return false
    }
  }

  /** A map of the field lines, without what Connection named. */
  makeHeaders(): HeaderMap {
    const headers = HeaderMap.fromLines(this.lines, this)
    if (this.#named === null) return headers
    // Fields without which the message means another thing stay.
    for (const name of this.#named) if (!KEPT_THOUGH_NAMED.has(name)) headers.remove(name)
    return headers
  }

  #noteContentLength(start: number, end: number): void {
    // 1*DIGIT and nothing else, once (RFC 9110 §8.6): lists and repeats are where parsers disagree.
    if (this.bodyLength >= 0) throw this.#badLength('Content-Length')
    this.bodyLength = decimal(this.buffer, start, end)
    if (this.bodyLength < 0) throw this.#badLength('Content-Length')
    this.contentLength = this.slice(start, end)
  }

  #noteTransferEncoding(value: string): void {
    if (this.chunked || value.toLowerCase() !== 'chunked') {
      throw this.#badLength('Transfer-Encoding')
    }
    this.chunked = true
  }

  #noteConnection(start: number, end: number): void {
    // Nearly every Connection field is one of these two, as they stand.
    if (isText(this.buffer, start, end, KEEP_ALIVE)) this.keepAlive = true
    else if (isText(this.buffer, start, end, CLOSE)) this.close = true
    else this.#noteConnectionOptions(this.slice(start, end))
  }

  #noteConnectionOptions(value: string): void {
    const parts = value.split(',', MAX_CONNECTION_OPTIONS + 1)
    if (parts.length + (this.#named?.length ?? 0) > MAX_CONNECTION_OPTIONS) {
      throw new ProxyError(this.codes.invalidCode, 'Connection names too many fields')
    }
    for (const part of parts) {
      const option = part.trim().toLowerCase()
      if (option === 'close') this.close = true
      else if (option === 'keep-alive') this.keepAlive = true
      else if (option === 'upgrade') this.connectionUpgrade = true
      else if (option !== '') (this.#named ??= []).push(option)
    }
  }

  #badLength(field: string): ProxyError {
    return new ProxyError(this.codes.invalidCode, `${field} does not say how long the body is`)
  }
}

/** As many as there may be fields; each one named costs a search of them all. */
const MAX_CONNECTION_OPTIONS = 128
/** Fields that end here (RFC 9110 §7.6.1, §11.7); what goes on of an upgrade is written anew. */
const HOP_BY_HOP: readonly string[] = [
  'connection',
  'transfer-encoding',
  'te',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'http2-settings',
]
/** The fields that {@link HeadFacts.note} has something to say about, in lower case. */
export const NOTED_FIELDS: readonly string[] = [
  ...HOP_BY_HOP,
  'content-length',
  'date',
  'expect',
  'host',
]

/** The number that the bytes write; -1 when it is none, or has leading zeros, which some read as octal. */
function decimal(buffer: Buffer, start: number, end: number): number {
  const length = end - start
  if (length === 0 || length > MAX_DIGITS || (length > 1 && buffer[start] === ZERO)) return -1
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = buffer[at]! - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return Number.isSafeInteger(value) ? value : -1
}

/** A list field may come in several lines (RFC 9110 §5.3). */
function withValue(list: string | null, value: string): string {
  return list === null ? value : `${list}, ${value}`
}

/** Whether `buffer[start, end)` is `text`. */
function isText(buffer: Buffer, start: number, end: number, text: Uint8Array): boolean {
  return end - start === text.length && bytesAt(buffer, start, text)
}

const KEEP_ALIVE = Buffer.from('keep-alive')
const CLOSE = Buffer.from('close')
const TRAILERS = /(^|,)[ \t]*trailers[ \t]*(,|;|$)/i
const ZERO = 0x30
const MAX_DIGITS = 16
const KEPT_THOUGH_NAMED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'authorization',
  'cookie',
  'set-cookie',
  'content-type',
  'content-encoding',
  'content-range',
  'cache-control',
  'date',
  'location',
])
