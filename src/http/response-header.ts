/** The head of a response: status, reason, version and fields. */
import { ProxyError } from '../error/index.js'
import { HeaderMap, isFieldValue } from './header-map.js'
import type { MessageHeader } from './message-header.js'
import type { HttpVersion } from './request-header.js'
import { reasonPhrase } from './status.js'

/** A response head. What hooks see has no hop-by-hop fields any more (RFC 9110 §7.6.1). */
export class ResponseHeader implements MessageHeader {
  /** The status code, 100 to 599 (peers may send up to 999). */
  status: number
  /** The reason phrase; empty is allowed. */
  reason: string
  /** The version that the upstream spoke. */
  version: HttpVersion
  readonly headers: HeaderMap
  /** What a 101 turns the connection into, or a 426 asks for (RFC 9110 §7.8); else `null`. */
  upgrade: string | null = null

  constructor(
    status: number,
    reason?: string,
    version: HttpVersion = '1.1',
    headers: HeaderMap = new HeaderMap(),
  ) {
    this.status = status
    this.reason = reason ?? reasonPhrase(status)
    this.version = version
    this.headers = headers
  }

  getHeader(name: string): string | undefined {
    return this.headers.get(name)
  }

  insertHeader(name: string, value: string): void {
    this.headers.set(name, value)
  }

  appendHeader(name: string, value: string): void {
    this.headers.append(name, value)
  }

  removeHeader(name: string): boolean {
    return this.headers.remove(name)
  }

  /** Sets the status and the reason phrase that belongs to it. */
  setStatus(status: number): void {
    this.status = status
    this.reason = reasonPhrase(status)
  }

  /** Whether it is an interim response (1xx, RFC 9110 §15.2). */
  get isInterim(): boolean {
    return this.status < 200
  }

  /** A copy that can be changed alone. */
  clone(): ResponseHeader {
    const copy = new ResponseHeader(this.status, this.reason, this.version, this.headers.clone())
    copy.upgrade = this.upgrade
    return copy
  }

  /**
   * Checks what hooks may have set, so that no hook can write a second status line.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when status, reason or upgrade cannot stand on the wire.
   */
  assertWritable(): void {
    if (!Number.isInteger(this.status) || this.status < 100 || this.status > 999) {
      throw new ProxyError('PGR_OPTION_INVALID', `status: integer 100 to 999, got ${this.status}`)
    }
    if (this.reason !== 'OK' && !isFieldValue(this.reason)) {
      throw new ProxyError('PGR_OPTION_INVALID', 'the reason phrase holds a control')
    }
    if (this.upgrade !== null && !isFieldValue(this.upgrade)) {
      throw new ProxyError('PGR_OPTION_INVALID', 'upgrade: a value that cannot stand in a header')
    }
  }
}
