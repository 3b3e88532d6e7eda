/** HTTP/2 fields, as `node:http2` takes and gives them, to heads and back (RFC 9113 §8). */
import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http2'
import { ProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import {
  HeaderMap,
  RequestHeader,
  ResponseHeader,
  isFieldValue,
  isToken,
} from '../../http/index.js'
import { CHUNKED, FORBIDDEN_IN_TRAILERS } from '../../protocols/index.js'
import type { BodyLength } from '../../protocols/index.js'

/** A request head that came over HTTP/2. */
export interface H2RequestHead {
  /** What hooks see; `:authority` is its Host, which comes first. */
  readonly header: RequestHeader
  /** What Content-Length says, 0 where the stream has ended, else `CHUNKED`: not known. */
  readonly bodyLength: BodyLength
  /** Whether the client said `TE: trailers`. */
  readonly acceptsTrailers: boolean
}

/** A response head that came over HTTP/2. */
export interface H2ResponseHead {
  readonly header: ResponseHeader
  /** As of {@link H2RequestHead}. */
  readonly bodyLength: BodyLength
}

/**
 * Reads the fields of a request: names and values in turn, each value latin1.
 * @param ended whether no body follows.
 * @param allowConnect whether CONNECT is a method like others; that of RFC 8441 always is.
 * @throws {@link ProxyError} `PGR_REQUEST_INVALID`, `PGR_CONNECT_NOT_ALLOWED`.
 */
export function readRequestFields(
  raw: readonly string[],
  ended: boolean,
  allowConnect: boolean = false,
): H2RequestHead {
  const fields = new FieldReader('PGR_REQUEST_INVALID')
  const first = fields.readPseudo(raw)
  const { method, target, scheme, authority, protocol } = fields
  if (method === null || !isToken(method)) throw fields.fault(':method is missing or no token')
  if (method === 'CONNECT' && protocol === null)
    return readConnect(fields, raw, first, allowConnect)
  if (protocol !== null) checkWebSocket(fields, ended)
  if (scheme !== 'http' && scheme !== 'https') throw fields.fault(':scheme is not http or https')
  if (target === null || !isTarget(target, method)) throw fields.fault(':path is not a path')
  if (authority !== null) fields.addHost(authority)
  fields.readRest(raw, first)
  if (fields.host === undefined) throw fields.fault('no :authority and no Host')
  const { acceptsTrailers } = fields
  if (protocol !== null)
    return { header: webSocketRequest(fields, target), bodyLength: 0, acceptsTrailers }
  const header = new RequestHeader(method, target, '2', fields.makeHeaders())
  return { header, bodyLength: fields.bodyLengthOf(ended), acceptsTrailers }
}

/** RFC 9113 §8.5: the authority is all of the target. */
function readConnect(
  fields: FieldReader,
  raw: readonly string[],
  first: number,
  isAllowed: boolean,
): H2RequestHead {
  const { authority, scheme, target } = fields
  if (authority === null || !CONNECT_TARGET.test(authority) || scheme !== null || target !== null)
    throw fields.fault('CONNECT needs HOST:PORT as its authority, and nothing else')
  if (!isAllowed) throw new ProxyError('PGR_CONNECT_NOT_ALLOWED')
  fields.addHost(authority)
  fields.readRest(raw, first)
  const header = new RequestHeader('CONNECT', authority, '2', fields.makeHeaders())
  return { header, bodyLength: 0, acceptsTrailers: fields.acceptsTrailers }
}

function checkWebSocket({ method, protocol }: FieldReader, ended: boolean): void {
  const isWebSocket = method === 'CONNECT' && protocol === 'websocket'
  if (!isWebSocket || ended)
    throw new ProxyError('PGR_CONNECT_NOT_ALLOWED', 'only WebSocket goes by extended CONNECT')
}

/** RFC 8441 as HTTP/1 has it: a GET that asks for an upgrade, with the key that it needs there. */
function webSocketRequest(fields: FieldReader, target: string): RequestHeader {
  const header = new RequestHeader('GET', target, '2', fields.makeHeaders())
  header.upgrade = 'websocket'
  header.headers.set('sec-websocket-key', randomBytes(16).toString('base64'))
  return header
}

/**
 * Reads the fields of a response, interim ones too.
 * @param ended whether no body follows.
 * @param hasNoBody whether the response has none whatever its fields say, as one to HEAD.
 * @throws {@link ProxyError} `PGR_RESPONSE_INVALID`.
 */
export function readResponseFields(
  raw: readonly string[],
  ended: boolean,
  hasNoBody: boolean,
): H2ResponseHead {
  const fields = new FieldReader('PGR_RESPONSE_INVALID')
  const first = fields.readPseudo(raw)
  const { status } = fields
  if (status === null || !STATUS.test(status)) throw fields.fault(':status is not a status')
  // HTTP/2 has no 101 (RFC 9113 §8.6).
  if (status === '101') throw fields.fault('101 in HTTP/2')
  fields.readRest(raw, first)
  const header = new ResponseHeader(Number(status), undefined, '2', fields.makeHeaders())
  return { header, bodyLength: hasNoBody ? 0 : fields.bodyLengthOf(ended) }
}

/**
 * Reads trailers, without the fields that must not come so late (RFC 9110 §6.5.1). Returns `null`
 * when none is left.
 * @throws {@link ProxyError} `invalidCode`.
 */
export function readTrailerFields(
  raw: readonly string[],
  invalidCode: ErrorCode,
): HeaderMap | null {
  const fields = new FieldReader(invalidCode)
  fields.readRest(raw, 0)
  const headers = fields.makeHeaders()
  for (const name of FORBIDDEN_IN_TRAILERS) headers.remove(name)
  return headers.size === 0 ? null : headers
}

/**
 * The fields of a request as they go to an upstream; CONNECT has neither scheme nor path (RFC 9113 §8.5).
 * @param scheme `http` or `https`.
 */
export function requestFields(
  header: RequestHeader,
  scheme: string,
  acceptsTrailers: boolean,
): OutgoingHttpHeaders {
  const fields = emptyFields()
  fields[':method'] = header.method
  if (header.method === 'CONNECT') fields[':authority'] = header.target
  else {
    fields[':path'] = header.target
    fields[':scheme'] = scheme
    fields[':authority'] = header.headers.host ?? ''
  }
  let saysTrailers = acceptsTrailers
  header.headers.forEach((key, value) => {
    if (key === 'te') saysTrailers ||= value === 'trailers'
    else if (key !== 'host') addField(fields, key, value)
  })
  // Hop by hop: said anew, and only for the client, or the hook, that said it.
  if (saysTrailers) fields.te = 'trailers'
  return fields
}

/** The fields of a response as they go to a client. */
export function responseFields(header: ResponseHeader): OutgoingHttpHeaders {
  const fields = emptyFields()
  fields[':status'] = header.status
  header.headers.forEach((key, value) => {
    addField(fields, key, value)
  })
  return fields
}

/** Trailers as they go out. */
export function trailerFields(trailers: HeaderMap): OutgoingHttpHeaders {
  const fields = emptyFields()
  trailers.forEach((key, value) => {
    addField(fields, key, value)
  })
  return fields
}

/** Collects one field section: its pseudo-fields, and the lines of the map that is made of the rest. */
class FieldReader {
  method: string | null = null
  target: string | null = null
  scheme: string | null = null
  authority: string | null = null
  protocol: string | null = null
  status: string | null = null
  acceptsTrailers = false
  host: string | undefined = undefined
  readonly #code: ErrorCode
  #lines = ''
  #cookie = ''
  #contentLength: string | undefined = undefined
  #hasDate = false
  #hostAt = -1

  constructor(code: ErrorCode) {
    this.#code = code
  }

  /** Reads the pseudo-fields, which come first. Returns where the others begin. */
  readPseudo(raw: readonly string[]): number {
    let at = 0
    for (; at < raw.length && raw[at]!.startsWith(':'); at += 2) {
      const value = raw[at + 1]!
      const name = raw[at]!
      if (name === ':method') this.method = this.#once(this.method, value)
      else if (name === ':path') this.target = this.#once(this.target, value)
      else if (name === ':scheme') this.scheme = this.#once(this.scheme, value)
      else if (name === ':authority') this.authority = this.#once(this.authority, value)
      else if (name === ':protocol') this.protocol = this.#once(this.protocol, value)
      else if (name === ':status') this.status = this.#once(this.status, value)
      else throw this.fault(`${name} is not known`)
    }
    const isRequest = this.#code === 'PGR_REQUEST_INVALID'
    const foreign = isRequest ? this.status : (this.method ?? this.target ?? this.scheme)
    if (foreign !== null) throw this.fault('a pseudo-field of the other kind of message')
    return at
  }

  /** Reads the fields from `from` on. */
  readRest(raw: readonly string[], from: number): void {
    for (let at = from; at < raw.length; at += 2) this.#readField(raw[at]!, raw[at + 1]!)
  }

  addHost(value: string): void {
    if (!HOST.test(value)) throw this.fault('the authority is not a host')
    this.host = value
    this.#hostAt = this.#lines.length
    this.#lines += `host: ${value}\r\n`
  }

  makeHeaders(): HeaderMap {
    if (this.#cookie !== '') this.#lines += `cookie: ${this.#cookie}\r\n`
    return HeaderMap.fromLines(this.#lines, {
      contentLength: this.#contentLength,
      hasDate: this.#hasDate,
      host: this.host,
      hostAt: this.#hostAt,
    })
  }

  /** Content-Length and the end of the stream must not tell two different things. */
  bodyLengthOf(ended: boolean): BodyLength {
    if (this.#contentLength === undefined) return ended ? 0 : CHUNKED
    const length = Number(this.#contentLength)
    if (!LENGTH.test(this.#contentLength) || !Number.isSafeInteger(length))
      throw this.fault('Content-Length is not a number of bytes')
    if (ended && length > 0) throw this.fault('no body, but a Content-Length')
    return length
  }

  fault(message: string): ProxyError {
    return new ProxyError(this.#code, message)
  }

  #readField(name: string, value: string): void {
    if (!isFieldValue(value)) throw this.fault(`the value of ${name} cannot stand in a header`)
    switch (name) {
      case 'host':
        // It says what `:authority` says, or stands in its place (RFC 9113 §8.3.1).
        if (this.host === undefined) this.addHost(value)
        else if (this.host.toLowerCase() !== value.toLowerCase())
          throw this.fault('Host and :authority are different')
        return
      case 'cookie':
        // In pieces so that they compress better (§8.2.3); other readers want one.
        this.#cookie += this.#cookie === '' ? value : `; ${value}`
        return
      case 'content-length':
        this.#contentLength = this.#once(this.#contentLength ?? null, value)
        break
      case 'date':
        this.#hasDate = true
        break
      case 'te':
        if (value !== 'trailers') throw this.fault('TE says more than trailers')
        this.acceptsTrailers = true
        return
      default:
        if (OF_THE_CONNECTION.has(name)) throw this.fault(`${name} in HTTP/2`)
        if (ENDS_HERE.has(name)) return
        if (!KNOWN_NAMES.has(name)) this.#checkName(name)
    }
    this.#lines += `${name}: ${value}\r\n`
  }

  #checkName(name: string): void {
    if (isToken(name) && name === name.toLowerCase()) return
    throw this.fault('a field name is not a token in lower case')
  }

  #once(before: string | null, value: string): string {
    if (before !== null) throw this.fault('a field that can stand only once stands twice')
    return value
  }
}

/** Without a prototype: names come from peers. */
function emptyFields(): OutgoingHttpHeaders {
  return Object.create(null) as OutgoingHttpHeaders
}

function addField(fields: OutgoingHttpHeaders, key: string, value: string): void {
  if (OF_THE_CONNECTION.has(key) || key === 'te') return
  // Receivers drop a field whose value has blanks around it (RFC 9113 §8.2.1) without a word.
  const text = BLANK_AT_END.test(value) ? value.trim() : value
  const before = fields[key]
  fields[key] = before === undefined ? text : repeated(key, before, text)
}

/** Node refuses to send some fields twice: of a list it takes the list, of others the first must do. */
function repeated(
  key: string,
  before: string | string[] | number,
  value: string,
): string | string[] | number {
  if (LISTS_SENT_ONCE.has(key)) return `${String(before)}, ${value}`
  if (SENT_ONCE.has(key)) return before
  return Array.isArray(before) ? [...before, value] : [String(before), value]
}

function isTarget(target: string, method: string): boolean {
  return TARGET.test(target) || (target === '*' && method === 'OPTIONS')
}

const BLANK_AT_END = /^[ \t]|[ \t]$/
/** A path and a query, none of their bytes a blank or a control. */
const TARGET = /^\/[\x21-\x7e\x80-\xff]*$/
/** uri-host [":" port] (RFC 9110 §7.2); no user information. */
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/
const CONNECT_TARGET = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+):\d{1,5}$/
const STATUS = /^[1-9]\d\d$/
/** As in HTTP/1: some read leading zeros as octal. */
const LENGTH = /^(?:0|[1-9]\d{0,15})$/
/** RFC 9113 §8.2.2. */
const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])
/** Between the client and us alone, as in HTTP/1 (RFC 9110 §11.7). */
const ENDS_HERE: ReadonlySet<string> = new Set(['proxy-authenticate', 'proxy-authorization'])
/** Names that need no look at their letters. */
const KNOWN_NAMES: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-type',
  'etag',
  'grpc-accept-encoding',
  'grpc-timeout',
  'last-modified',
  'location',
  'origin',
  'referer',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'server',
  'set-cookie',
  'user-agent',
  'vary',
])
const LISTS_SENT_ONCE: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'if-match',
  'if-none-match',
])
const SENT_ONCE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])
