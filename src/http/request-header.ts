/** The head of a request: method, target, version and fields. */
import { ProxyError } from '../error/index.js'
import { HeaderMap, isToken } from './header-map.js'
import type { MessageHeader } from './message-header.js'

/** The HTTP/1 versions that are spoken; HTTP/2 has no version in its messages. */
export type HttpVersion = '1.0' | '1.1' | '2'

/** A request head. What hooks see has no hop-by-hop fields any more (RFC 9110 §7.6.1). */
export class RequestHeader implements MessageHeader {
  /** The method, such as `GET`; case matters. */
  method: string
  /** The request target as received, one character per byte, such as `/a?b=1`. */
  target: string
  /** The version that the client spoke. */
  version: HttpVersion
  readonly headers: HeaderMap
  /**
   * What the client wants the connection to become (RFC 9110 §7.8), such as `websocket`, as it wrote
   * it; `null` for an ordinary request. Set to `null`, the upstream is not asked for it.
   */
  upgrade: string | null = null

  constructor(
    method: string,
    target: string,
    version: HttpVersion = '1.1',
    headers: HeaderMap = new HeaderMap(),
  ) {
    this.method = method
    this.target = target
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

  /** The target without its query. */
  get path(): string {
    const query = this.target.indexOf('?')
    return query < 0 ? this.target : this.target.slice(0, query)
  }

  /** The query without its question mark; empty when there is none. */
  get query(): string {
    const query = this.target.indexOf('?')
    return query < 0 ? '' : this.target.slice(query + 1)
  }

  /** A copy that can be changed alone. */
  clone(): RequestHeader {
    const copy = new RequestHeader(this.method, this.target, this.version, this.headers.clone())
    copy.upgrade = this.upgrade
    return copy
  }

  /**
   * Checks what hooks may have set, so that no hook can write a second request line.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when method or target cannot stand on the wire.
   */
  assertWritable(): void {
    if (!isToken(this.method)) {
      throw new ProxyError('PGR_OPTION_INVALID', `not a method: ${JSON.stringify(this.method)}`)
    }
    if (!TARGET.test(this.target)) {
      throw new ProxyError('PGR_OPTION_INVALID', 'the request target holds a blank or a control')
    }
  }
}

/** One or more bytes, none a blank or a control. */
const TARGET = /^[\x21-\x7e\x80-\xff]+$/
