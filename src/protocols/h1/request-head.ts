/** Request heads (RFC 9112 §3): bytes to `RequestHeader`, strict where proxies have been fooled. */
import { ProxyError } from '../../error/index.js'
import { RequestHeader } from '../../http/index.js'
import type { HttpVersion } from '../../http/index.js'
import {
  COLON,
  CR,
  SP,
  afterRegisteredName,
  afterTarget,
  afterToken,
  bytesAt,
  isDigit,
} from './byte-classes.js'
import { CHUNKED, HeadFacts } from './head-facts.js'
import type { BodyLength, FieldCodes } from './head-facts.js'
import type { HeadMemory } from './head-memory.js'
import { latin1Text } from './latin1.js'
import { parseFields } from './parse-fields.js'
import type { SectionLimits } from './section-reader.js'
import { passableProtocols } from './upgrade-protocols.js'

/** A parsed request head. */
export interface RequestHead {
  /** What hooks see: no hop-by-hop fields. */
  readonly header: RequestHeader
  /** How the body is framed; 0 when there is none. */
  readonly bodyLength: BodyLength
  /** Whether the client lets the connection live on (RFC 9112 §9.3). */
  readonly keepAlive: boolean
  /** Whether the client waits for a 100 before it sends the body. */
  readonly expectContinue: boolean
  /** Whether the client takes trailers in the response. */
  readonly acceptsTrailers: boolean
  /** Where the head ends in the buffer, its empty line included. */
  readonly end: number
}

/** Limits of request heads; a breach closes the connection with 414 or 431. */
export interface RequestLimits {
  /** Bytes of the request line. Default: 16384. */
  readonly maxRequestLineBytes: number
  /** Bytes of the header section. Default: 65536. */
  readonly maxHeaderBytes: number
  /** Fields of the header section. Default: 128. */
  readonly maxHeaders: number
}

/** The contract's limits. */
export const REQUEST_LIMITS: RequestLimits = Object.freeze({
  maxRequestLineBytes: 16_384,
  maxHeaderBytes: 65_536,
  maxHeaders: 128,
})

/** The section limits of a request head. */
export function requestSectionLimits(limits: RequestLimits): SectionLimits {
  return {
    maxStartLineBytes: limits.maxRequestLineBytes,
    maxEmptyLines: 4,
    maxFieldBytes: limits.maxHeaderBytes,
    startLineCode: 'PGR_TARGET_TOO_LONG',
    fieldCode: 'PGR_HEADER_TOO_LARGE',
    invalidCode: INVALID,
  }
}

/**
 * Parses the head that starts at `start`, where all of it is there before `to`; else returns `null`.
 * Copies what it keeps. Most heads come in one read and are looked at only here.
 * @param memory that of the client's connection, where there is one.
 * @param allowConnect whether CONNECT is a method like others.
 * @throws {@link ProxyError} `PGR_REQUEST_INVALID`, `PGR_HEADER_TOO_LARGE`,
 * `PGR_VERSION_UNSUPPORTED`, `PGR_CONNECT_NOT_ALLOWED`.
 */
export function parseRequestHead(
  buffer: Buffer,
  start: number,
  to: number,
  maxHeaders: number = REQUEST_LIMITS.maxHeaders,
  memory: HeadMemory | null = null,
  allowConnect: boolean = false,
): RequestHead | null {
  const text = latin1Text(buffer, start, to)
  const methodEnd = afterToken(buffer, start)
  const targetStart = methodEnd + 1
  const targetEnd = afterTarget(buffer, targetStart)
  const fieldsStart = targetEnd + VERSION_LENGTH
  // An empty line may come before a request; whoever gathers heads skips it.
  if (fieldsStart > to || buffer[start] === CR) return null
  if (methodEnd === start || buffer[methodEnd] !== SP) {
    throw invalid('the request line has no method')
  }
  if (targetEnd === targetStart || buffer[targetEnd] !== SP) {
    throw invalid('the request line has no target')
  }
  const version = parseVersion(buffer, targetEnd, text, start)

  const rest = text.slice(targetEnd - start)
  const remembered = memory === null ? null : memory.recall(rest, targetEnd)
  const facts = remembered ?? new HeadFacts(buffer, text, start, CODES)
  if (remembered === null && !parseFields(facts, fieldsStart, maxHeaders)) return null

  const method = bytesAt(buffer, start, GET) ? 'GET' : text.slice(0, methodEnd - start)
  const target = text.slice(targetStart - start, targetEnd - start)
  const isConnect = method === 'CONNECT'
  if (isConnect) checkConnect(target, allowConnect)
  if (remembered === null) {
    checkHost(facts, version)
    // With a body behind it, it hardly comes again.
    if (facts.end === to) memory?.keep(rest, targetEnd, facts)
  }
  const header = new RequestHeader(method, target, version, facts.makeHeaders())
  const bodyLength = requestBodyLength(facts, version)
  if (isConnect) resolveConnect(header, bodyLength)
  else if (buffer[targetStart] !== SLASH) resolveTarget(header)
  if (facts.upgrade !== null) header.upgrade = askedUpgrade(facts, version)
  return {
    header,
    bodyLength,
    // Behind a CONNECT that is refused there may be bytes that were meant for the tunnel.
    keepAlive: !isConnect && (version === '1.1' ? !facts.close : facts.keepAlive && !facts.close),
    expectContinue: facts.expectContinue && version === '1.1',
    acceptsTrailers: facts.acceptsTrailers,
    end: facts.end,
  }
}

/** @param at after the target. */
function parseVersion(buffer: Buffer, at: number, text: string, textStart: number): HttpVersion {
  if (bytesAt(buffer, at, HTTP_1_1)) return '1.1'
  if (bytesAt(buffer, at, HTTP_1_0)) return '1.0'
  if (OTHER_VERSION.test(text.slice(at - textStart, at - textStart + VERSION_LENGTH))) {
    throw new ProxyError('PGR_VERSION_UNSUPPORTED')
  }
  throw invalid('the request line does not end with an HTTP version')
}

/** RFC 9112 §6.3, without its leniences: both framings at once, or chunked in 1.0, is an attack. */
function requestBodyLength(facts: HeadFacts, version: HttpVersion): BodyLength {
  if (!facts.chunked) return Math.max(0, facts.bodyLength)
  if (facts.bodyLength >= 0) throw invalid('both Content-Length and Transfer-Encoding')
  if (version === '1.0') throw invalid('Transfer-Encoding in an HTTP/1.0 request')
  return CHUNKED
}

/** RFC 9112 §3.2: exactly one Host in HTTP/1.1, and one that can be a host. */
function checkHost({ hosts, buffer, hostStart, hostEnd }: HeadFacts, version: HttpVersion): void {
  if (hosts === 0) {
    if (version === '1.1') throw invalid('no Host')
    return
  }
  if (hosts > 1) throw invalid('more than one Host')
  if (!isHost(buffer, hostStart, hostEnd)) throw invalid('the Host is not a host')
}

/** uri-host [":" port] (RFC 9110 §7.2): IPv6 in brackets, or characters of a registered name. */
function isHost(buffer: Buffer, start: number, end: number): boolean {
  let at = afterRegisteredName(buffer, start, end)
  if (at === end) return end > start
  if (at === start) return IPV6_HOST.test(latin1Text(buffer, start, end))
  if (buffer[at] !== COLON || end - at > COLON_AND_PORT) return false
  do at++
  while (at < end && isDigit(buffer[at]!))
  return at === end
}

/** The three target forms besides origin-form (RFC 9112 §3.2). */
function resolveTarget(header: RequestHeader): void {
  if (header.target === '*' && header.method === 'OPTIONS') return
  const absolute = ABSOLUTE_TARGET.exec(header.target)
  const authority = absolute?.[1]
  const bytes = Buffer.from(authority ?? '', 'latin1')
  if (authority === undefined || !isHost(bytes, 0, bytes.length)) {
    throw invalid('the request target is neither a path nor a URL')
  }
  // The authority of the target replaces Host (§3.2.2), and the upstream gets the origin form.
  const rest = absolute?.[2] ?? ''
  header.headers.set('Host', authority)
  if (rest.startsWith('/')) header.target = rest
  else if (rest === '' && header.method === 'OPTIONS') header.target = '*'
  else header.target = `/${rest}`
}

/** A CONNECT that is not even well-formed is refused as malformed. */
function checkConnect(target: string, isAllowed: boolean): void {
  if (!CONNECT_TARGET.test(target)) throw invalid('CONNECT needs HOST:PORT')
  if (!isAllowed) throw new ProxyError('PGR_CONNECT_NOT_ALLOWED')
}

/** The target stays as it is, and replaces Host; what follows the head is no body (RFC 9110 §9.3.6). */
function resolveConnect(header: RequestHeader, bodyLength: BodyLength): void {
  if (bodyLength !== 0) throw invalid('a CONNECT with a body')
  header.headers.set('Host', header.target)
}

/** Only HTTP/1.1 has upgrades, and only a field that Connection names is one (RFC 9110 §7.8). */
function askedUpgrade(facts: HeadFacts, version: HttpVersion): string | null {
  const { upgrade, connectionUpgrade } = facts
  if (upgrade === null || !connectionUpgrade || version !== '1.1') return null
  return passableProtocols(upgrade)
}

function invalid(message: string): ProxyError {
  return new ProxyError(INVALID, message)
}

const INVALID = 'PGR_REQUEST_INVALID'
const CODES: FieldCodes = { limitCode: 'PGR_HEADER_TOO_LARGE', invalidCode: INVALID }
const SLASH = 0x2f
const GET = Buffer.from('GET ')
const HTTP_1_1 = Buffer.from(' HTTP/1.1\r\n')
const HTTP_1_0 = Buffer.from(' HTTP/1.0\r\n')
const OTHER_VERSION = /^ HTTP\/\d\.\d\r\n$/
/** From the target to the end of its line; every version is as long as the others. */
const VERSION_LENGTH: number = HTTP_1_1.length
/** Brackets around an IPv6 address, then perhaps a port. */
const IPV6_HOST = /^\[[0-9A-Fa-f:.]+\](:\d{0,5})?$/
const COLON_AND_PORT = 6
const CONNECT_TARGET = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+):\d{1,5}$/
const ABSOLUTE_TARGET = /^https?:\/\/([^/?#]*)([/?].*)?$/i
