/** One HTTP/1 request and its response on a client's connection. */
import { ProxyError } from '../error/index.js'
import { hasNoBody } from '../http/index.js'
import type { HeaderMap, HttpDate, RequestHeader, ResponseHeader } from '../http/index.js'
import {
  CHUNKED,
  TUNNEL,
  UNTIL_CLOSE,
  declaredLength,
  writeResponseHead,
} from '../protocols/index.js'
import type { BodyLength, ConnectionOption, RequestHead } from '../protocols/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import type { Clock } from '../time/index.js'
import type { DownstreamHandler, DownstreamSession } from './downstream-session.js'
import type { H1TunnelEnd } from './h1-tunnel-end.js'
import type { MessageWriter } from './message-writer.js'
import { assertOpensTunnel } from './tunnel-end.js'
import type { TunnelEnd } from './tunnel-end.js'

/** What a session needs of the connection that it is on. */
export interface H1SessionOwner {
  /** Writes the messages of the connection. */
  readonly writer: MessageWriter
  /** Facts about the connection. */
  readonly digest: ConnectionDigest
  /** Gives the time of `Date`. */
  readonly clock: Clock
  /** Writes that time. */
  readonly date: HttpDate
  /** Whether the connection must close after the response in progress. */
  readonly mustClose: boolean
  /** Starts or resumes the delivery of the request body. Returns whether a read is under way. */
  readBody(): boolean
  /** Stops the delivery until `readBody`. */
  pauseBody(): void
  /** During the delivery of data only: its bytes stay valid afterwards. */
  retain(): void
  /** HTTP is over on the connection, which becomes the client's end of a tunnel. */
  startTunnel(): H1TunnelEnd
  /** Bytes wait for the client: its write time-out runs. */
  watchWrites(): void
  /** The response is complete: the connection goes on to the next request or closes. */
  finished(session: H1DownstreamSession): void
  /** The response is incomplete: the connection closes so that the client sees it. */
  aborted(session: H1DownstreamSession): void
}

/** One HTTP/1 request and its response. Made per request, so that a late hook cannot reach the next. */
export class H1DownstreamSession implements DownstreamSession {
  readonly header: RequestHeader
  readonly bodyLength: BodyLength
  readonly upgrade: string | null
  readonly acceptsTrailers: boolean
  handler: DownstreamHandler | null = null
  bodyDone: boolean
  /** Bytes of the request's body proper. */
  requestBytes = 0
  headerWritten = false
  responseDone = false
  keepAlive: boolean
  /** Whether the body is wanted now. */
  reading = false
  /** Whether `onRequestEnd` has been called. */
  endDelivered = false
  /** Trailers of the request body, kept until its end is delivered. */
  trailers: HeaderMap | null = null

  readonly #owner: H1SessionOwner
  readonly #speaks11: boolean
  #skipsBody = false
  #tunnel: H1TunnelEnd | null = null
  #finished = false
  /** Kept when the session finishes, for the writer goes on to the next response. */
  #bodyBytesAtEnd = 0

  constructor(owner: H1SessionOwner, head: RequestHead) {
    this.#owner = owner
    this.header = head.header
    this.bodyLength = head.bodyLength
    this.upgrade = head.header.upgrade
    this.bodyDone = head.bodyLength === 0
    this.keepAlive = head.keepAlive
    this.#speaks11 = head.header.version === '1.1'
    this.acceptsTrailers = head.acceptsTrailers
  }

  /** Whether the body is complete and still wanted, which the piece before its end may have changed. */
  get wantsEnd(): boolean {
    return this.bodyDone && this.reading
  }

  get digest(): ConnectionDigest {
    return this.#owner.digest
  }

  get bodyBytesWritten(): number {
    if (this.#finished) return this.#bodyBytesAtEnd
    if (this.#tunnel !== null) return this.#tunnel.bytesWritten
    return this.headerWritten ? this.#owner.writer.bodyBytes : 0
  }

  get bodyBytesRead(): number {
    return this.requestBytes + (this.#tunnel?.bytesRead ?? 0)
  }

  readBody(): boolean {
    return !this.#finished && this.#owner.readBody()
  }

  pauseBody(): void {
    if (!this.#finished) this.#owner.pauseBody()
  }

  retain(): void {
    if (!this.#finished) this.#owner.retain()
  }

  writeInterim(header: ResponseHeader): void {
    // HTTP/1.0 clients do not know of interim responses (RFC 9110 §15.2).
    if (this.#finished || this.headerWritten || !this.#speaks11) return
    header.assertWritable()
    this.#owner.writer.interim(writeResponseHead(header, 0, 'default'))
  }

  writeHeader(header: ResponseHeader, bodyLength: BodyLength): void {
    if (this.#finished) return
    if (this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'a second response head')
    header.assertWritable()
    assertOpensTunnel(this.header.method, header.status, bodyLength)
    this.#skipsBody = hasNoBody(this.header.method, header.status)
    if (bodyLength === TUNNEL) {
      this.#writeTunnelHeader(header)
      return
    }
    const length = this.#skipsBody ? 0 : this.#lengthFor(header, bodyLength)
    // A length has no meaning there, whoever set the status, and some clients would wait for it.
    if (header.status === 204) header.headers.remove('content-length')
    // A response before the end of the request leaves bytes behind that nobody may take for a request.
    if (!this.bodyDone || this.#owner.mustClose || length === UNTIL_CLOSE) this.keepAlive = false
    this.#addDate(header.headers)
    this.headerWritten = true
    this.#owner.writer.head(writeResponseHead(header, length, this.#connectionOption()), length)
  }

  startTunnel(): TunnelEnd {
    this.handler = null
    this.#tunnel = this.#owner.startTunnel()
    return this.#tunnel
  }

  writeBody(buffer: Buffer, from: number, to: number): boolean {
    if (this.#finished || this.#skipsBody) return true
    if (!this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'a body before its head')
    const drained = this.#owner.writer.data(buffer, from, to)
    if (!drained) this.#owner.watchWrites()
    return drained
  }

  writeEnd(trailers: HeaderMap | null): void {
    if (this.#finished || this.responseDone) return
    if (!this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'an end before its head')
    const drained = this.#owner.writer.end(this.acceptsTrailers ? trailers : null)
    this.responseDone = true
    if (!drained) this.#owner.watchWrites()
  }

  flush(): void {
    if (this.#finished || !this.headerWritten) return
    if (!this.#owner.writer.flush()) this.#owner.watchWrites()
  }

  finish(): void {
    if (!this.#end()) return
    if (this.responseDone) this.#owner.finished(this)
    else this.#owner.aborted(this)
  }

  abort(): void {
    if (this.#end()) this.#owner.aborted(this)
  }

  /** From here on all calls do nothing. Returns false when that was so already. */
  #end(): boolean {
    if (this.#finished) return false
    this.#bodyBytesAtEnd = this.bodyBytesWritten
    this.#finished = true
    this.handler = null
    return true
  }

  /** What follows is framed by nobody (RFC 9110 §8.6, RFC 9112 §6.1), and HTTP never comes back. */
  #writeTunnelHeader(header: ResponseHeader): void {
    header.headers.remove('content-length')
    this.#addDate(header.headers)
    this.keepAlive = false
    this.headerWritten = true
    this.#owner.writer.head(writeResponseHead(header, TUNNEL, 'default'), 0)
    this.#owner.writer.end(null)
  }

  #addDate(headers: HeaderMap): void {
    if (!headers.hasDate) headers.addDate(this.#owner.date.at(this.#owner.clock.wallMs()))
  }

  /** HTTP/1.1 clients get chunks where the length is unknown; older ones the end of the connection. */
  #lengthFor({ headers }: ResponseHeader, bodyLength: BodyLength): BodyLength {
    // What the parser found stands as long as nobody has changed the fields.
    const isKnown = headers.isAsParsed && headers.contentLength !== undefined
    if (bodyLength >= 0 && isKnown) return bodyLength
    const length = declaredLength(headers, bodyLength >= 0 ? CHUNKED : bodyLength)
    if (length >= 0) return length
    return this.#speaks11 ? CHUNKED : UNTIL_CLOSE
  }

  #connectionOption(): ConnectionOption {
    if (!this.keepAlive) return 'close'
    return this.#speaks11 ? 'default' : 'keep-alive'
  }
}
