/** Response heads (RFC 9112 §4): bytes to `ResponseHeader`. */
import { ProxyError } from '../../error/index.js'
import { ResponseHeader, hasNoBody } from '../../http/index.js'
import type { HttpVersion } from '../../http/index.js'
import { SP, afterValue, bytesAt } from './byte-classes.js'
import { CHUNKED, HeadFacts, TUNNEL, UNTIL_CLOSE } from './head-facts.js'
import type { BodyLength, FieldCodes } from './head-facts.js'
import type { HeadMemory } from './head-memory.js'
import { latin1Text } from './latin1.js'
import { parseFields } from './parse-fields.js'
import type { SectionLimits } from './section-reader.js'
import { passableProtocols } from './upgrade-protocols.js'

/** A parsed response head. */
export interface ResponseHead {
  /** What hooks see: no hop-by-hop fields. */
  readonly header: ResponseHeader
  /** How the body is framed; 0 when there is none. */
  readonly bodyLength: BodyLength
  /** Whether the peer lets the connection live on (RFC 9112 §9.3). */
  readonly keepAlive: boolean
  /** Where the head ends in the buffer, its empty line included. */
  readonly end: number
}

/** Limits of response heads. */
export const RESPONSE_SECTION_LIMITS: SectionLimits = Object.freeze({
  maxStartLineBytes: 16_384,
  maxEmptyLines: 0,
  maxFieldBytes: 65_536,
  startLineCode: 'PGR_RESPONSE_TOO_LARGE',
  fieldCode: 'PGR_RESPONSE_TOO_LARGE',
  invalidCode: 'PGR_RESPONSE_INVALID',
})

/** Interim responses (1xx) to one request: a peer that sends them for ever would keep it for ever. */
export const MAX_INTERIM_RESPONSES = 32

/**
 * Parses the head that starts at `start`, the answer to a request with `method`, where all of it is
 * there before `to`; else returns `null`. Copies what it keeps.
 * @param memory that of the upstream's connection, where there is one.
 * @throws {@link ProxyError} `PGR_RESPONSE_INVALID`, `PGR_RESPONSE_TOO_LARGE`.
 */
export function parseResponseHead(
  buffer: Buffer,
  start: number,
  to: number,
  method: string,
  memory: HeadMemory | null = null,
): ResponseHead | null {
  const text = latin1Text(buffer, start, to)
  const statusEnd = start + STATUS_END
  const lineEnd = afterValue(buffer, statusEnd)
  const fieldsStart = lineEnd + 2
  if (fieldsStart > to) return null
  const version = parseVersion(buffer, start)
  const status = parseStatus(buffer, statusEnd - 3)
  // Even the blank before the reason may be missing.
  const hasReason = lineEnd > statusEnd
  if (!bytesAt(buffer, lineEnd, CRLF) || (hasReason && buffer[statusEnd] !== SP)) {
    throw invalid('the status line is malformed')
  }

  const remembered = memory === null ? null : memory.recall(text, start)
  const facts = remembered ?? new HeadFacts(buffer, text, start, CODES)
  if (remembered === null) {
    if (!parseFields(facts, fieldsStart, MAX_FIELDS)) return null
    memory?.keep(text, start, facts)
  }
  const headers = facts.makeHeaders()

  const isOk = bytesAt(buffer, statusEnd, OK)
  const reason = isOk ? 'OK' : text.slice(statusEnd + 1 - start, lineEnd - start)
  const bodyLength = responseBodyLength(facts, version, method, status)
  // A length has no meaning here, and some clients would wait for it (RFC 9110 §8.6).
  const hasNoLength = status === 204 || status < 200 || bodyLength === TUNNEL
  if (hasNoLength && facts.bodyLength >= 0) headers.remove('Content-Length')
  const header = new ResponseHeader(status, reason, version, headers)
  if (facts.upgrade !== null && (status === 101 || status === 426)) {
    header.upgrade = passableProtocols(facts.upgrade)
  }
  return {
    header,
    bodyLength,
    keepAlive: bodyLength > UNTIL_CLOSE && !facts.close && (version === '1.1' || facts.keepAlive),
    end: facts.end,
  }
}

function parseVersion(buffer: Buffer, at: number): HttpVersion {
  if (bytesAt(buffer, at, HTTP_1_1)) return '1.1'
  if (bytesAt(buffer, at, HTTP_1_0)) return '1.0'
  throw invalid('the response does not start with HTTP/1.1 or HTTP/1.0')
}

function parseStatus(buffer: Buffer, at: number): number {
  const hundreds = buffer[at]! - ZERO
  const tens = buffer[at + 1]! - ZERO
  const ones = buffer[at + 2]! - ZERO
  const digits = isDigit(hundreds) && isDigit(tens) && isDigit(ones)
  if (!digits || hundreds === 0) throw invalid('the status is not three digits')
  return hundreds * 100 + tens * 10 + ones
}

function isDigit(value: number): boolean {
  return value >= 0 && value <= 9
}

/** RFC 9112 §6.3, without its leniences. */
function responseBodyLength(
  facts: HeadFacts,
  version: HttpVersion,
  method: string,
  status: number,
): BodyLength {
  if (facts.chunked) {
    if (facts.bodyLength >= 0) throw invalid('both Content-Length and Transfer-Encoding')
    if (version === '1.0') throw invalid('Transfer-Encoding in an HTTP/1.0 response')
  }
  if (isTunnelAnswer(method, status)) return TUNNEL
  if (hasNoBody(method, status)) return 0
  if (facts.chunked) return CHUNKED
  return facts.bodyLength >= 0 ? facts.bodyLength : UNTIL_CLOSE
}

/** Whether what follows a response to `method` with `status` is no HTTP any more. */
export function isTunnelAnswer(method: string, status: number): boolean {
  return status === 101 || (method === 'CONNECT' && status >= 200 && status < 300)
}

function invalid(message: string): ProxyError {
  return new ProxyError(INVALID, message)
}

const INVALID = 'PGR_RESPONSE_INVALID'
const CODES: FieldCodes = { limitCode: 'PGR_RESPONSE_TOO_LARGE', invalidCode: INVALID }
const MAX_FIELDS = 128
/** After `HTTP/1.1 200`. */
const STATUS_END = 12
const HTTP_1_1 = Buffer.from('HTTP/1.1 ')
const HTTP_1_0 = Buffer.from('HTTP/1.0 ')
const OK = Buffer.from(' OK\r\n')
const CRLF = Buffer.from('\r\n')
const ZERO = 0x30
