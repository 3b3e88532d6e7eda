/** What the fields of an HTTP/1 head say about the message and its connection. */
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import type { HeaderMap, KnownFields } from '../../http/index.js'

/** A body length: bytes, or one of {@link CHUNKED} and {@link UNTIL_CLOSE}. */
export type BodyLength = number
/** The body comes in chunks (RFC 9112 §7.1). */
export const CHUNKED: BodyLength = -1
/** The body ends with the connection (responses only, RFC 9112 §6.3 rule 8). */
export const UNTIL_CLOSE: BodyLength = -2

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Collects, while fields are read, what frames the message; such fields never reach the map. */
export class HeadFacts {
  /** From Content-Length; -1 when there is none. */
  contentLength = -1
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
  /** What a `HeaderMap` wants to know beforehand. */
  readonly known: Writable<KnownFields> = {
    'content-length': undefined,
    date: undefined,
    host: undefined,
  }
  /** Host fields seen. */
  hosts = 0
  /** Fields that Connection names, in lower case; `null` when it names none. */
  #named: string[] | null = null

  readonly #invalidCode: ErrorCode

  constructor(invalidCode: ErrorCode) {
    this.#invalidCode = invalidCode
  }

  /**
   * Takes note of one of {@link NOTED_FIELDS}. Returns whether the field goes on to the map:
   * hop-by-hop fields stay here (RFC 9110 §7.6.1).
   */
  note(key: string, value: string): boolean {
    switch (key) {
      case 'content-length':
        this.#noteContentLength(value)
        this.known[key] = value
        return true
      case 'host':
        this.hosts++
        this.known.host ??= value
        return true
      case 'date':
        this.known.date ??= value
        return true
      case 'expect':
        this.expectContinue = value.toLowerCase() === '100-continue'
        return true
      case 'connection':
        this.#noteConnection(value)
        return false
      case 'transfer-encoding':
        this.#noteTransferEncoding(value)
        return false
      case 'te':
        this.acceptsTrailers ||= /(^|,)[ \t]*trailers[ \t]*(,|;|$)/i.test(value)
        return false
      default:
        return false
    }
  }

  /** Removes what Connection named, but for fields without which the message means another thing. */
  removeNamed(headers: HeaderMap): void {
    if (this.#named === null) return
    for (const name of this.#named) if (!KEPT_THOUGH_NAMED.has(name)) headers.remove(name)
  }

  #noteContentLength(value: string): void {
    // 1*DIGIT and nothing else, once (RFC 9110 §8.6): lists and repeats are where parsers disagree.
    if (this.contentLength >= 0) throw this.#invalid('Content-Length')
    this.contentLength = decimal(value)
    if (this.contentLength < 0) throw this.#invalid('Content-Length')
  }

  #noteTransferEncoding(value: string): void {
    if (this.chunked || value.toLowerCase() !== 'chunked') throw this.#invalid('Transfer-Encoding')
    this.chunked = true
  }

  #noteConnection(value: string): void {
    // Nearly every Connection field is one of these two, as they stand.
    if (value === 'keep-alive') {
      this.keepAlive = true
      return
    }
    if (value === 'close') {
      this.close = true
      return
    }
    const parts = value.split(',', MAX_CONNECTION_OPTIONS + 1)
    if (parts.length + (this.#named?.length ?? 0) > MAX_CONNECTION_OPTIONS) {
      throw new ProxyError(this.#invalidCode, 'Connection names too many fields')
    }
    for (const part of parts) {
      const option = part.trim().toLowerCase()
      if (option === 'close') this.close = true
      else if (option === 'keep-alive') this.keepAlive = true
      else if (option !== '') (this.#named ??= []).push(option)
    }
  }

  #invalid(field: string): ProxyError {
    return new ProxyError(this.#invalidCode, `${field} does not say how long the body is`)
  }
}

/** As many as there may be fields; each one named costs a search of them all. */
const MAX_CONNECTION_OPTIONS = 128
/** Fields that end here (RFC 9110 §7.6.1, §11.7); an upgrade is never asked for on a client's behalf. */
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
/** The number that `text` writes; -1 when it is none, or has leading zeros, which some read as octal. */
function decimal(text: string): number {
  const { length } = text
  if (length === 0 || length > MAX_DIGITS || (length > 1 && text.charCodeAt(0) === ZERO)) return -1
  let value = 0
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return Number.isSafeInteger(value) ? value : -1
}

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
