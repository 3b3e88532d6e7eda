/** One HTTP/2 request and its response on a client's connection. */
import { constants } from 'node:http2'
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Link } from '../../collections/index.js'
import { ProxyError, toProxyError } from '../../error/index.js'
import { hasNoBody } from '../../http/index.js'
import type { HeaderMap, HttpDate, RequestHeader, ResponseHeader } from '../../http/index.js'
import { TUNNEL, declaredLength } from '../../protocols/index.js'
import type { BodyLength } from '../../protocols/index.js'
import type { Clock, Deadline, DeadlineWheel } from '../../time/index.js'
import { afterTurn } from '../../time/internal.js'
import type { ConnectionDigest } from '../../transport/index.js'
import type { DownstreamHandler, DownstreamSession } from '../downstream-session.js'
import type { DownstreamTimeouts } from '../h1-server-options.js'
import { assertOpensTunnel } from '../tunnel-end.js'
import type { TunnelEnd } from '../tunnel-end.js'
import { readTrailerFields, responseFields, trailerFields } from './h2-fields.js'
import type { H2RequestHead } from './h2-fields.js'
import { H2TunnelEnd } from './h2-tunnel-end.js'
import { isWhole } from './stream-end.js'

/** What a session needs of the connection that it is on. */
export interface H2SessionOwner {
  /** Facts about the connection. */
  readonly digest: ConnectionDigest
  /** Gives the time of `Date`. */
  readonly clock: Clock
  /** Writes that time. */
  readonly date: HttpDate
  /** The thread's time-outs. */
  readonly deadlines: DeadlineWheel
  /** Those towards clients. */
  readonly timeouts: DownstreamTimeouts
  /** Something that is worth its frames has come or gone. */
  progressed(): void
  /** The request is over, and so is the connection once all others are. */
  wantsClose(): void
  /** The stream is gone; `byPeer`: the client has broken it off, or made us do so. */
  closed(session: H2DownstreamSession, byPeer: boolean): void
}

/**
 * One stream. The head is held back until the body, its end or `flush` comes, and a small body until
 * it is clear whether it is all of it: so most responses leave as a whole.
 */
export class H2DownstreamSession implements DownstreamSession {
  readonly header: RequestHeader
  readonly bodyLength: BodyLength
  readonly upgrade: string | null
  readonly acceptsTrailers: boolean
  handler: DownstreamHandler | null = null
  bodyDone: boolean
  headerWritten = false
  responseDone = false
  keepAlive = true
  /** Where its connection keeps it. */
  link: Link<H2DownstreamSession> | null = null

  readonly #owner: H2SessionOwner
  readonly #stream: ServerHttp2Stream
  #bytesRead = 0
  #bytesWritten = 0
  #tunnel: H2TunnelEnd | null = null
  #heldFields: OutgoingHttpHeaders | null = null
  #heldBody: Buffer | null = null
  /** What the head has promised; -1 when it promised nothing. */
  #promisedBytes = -1
  #skipsBody = false
  /** Trailers may come behind the body, by what is known of it. */
  #mayTrail = false
  #trailers: HeaderMap | null = null
  /** The stream ends only by its trailers, be they none. */
  #awaitsTrailers = false
  #requestTrailers: HeaderMap | null = null
  /** The stream has listeners for the body. */
  #listens = false
  #reading = false
  #endDelivered = false
  #drainWanted = false
  #finished = false
  #aborted = false
  /** What the client sent was wrong, so that we had to break it off. */
  #clientErred = false
  #gone = false
  #readDeadline: Deadline | null = null
  #writeDeadline: Deadline | null = null
  readonly #onWritten = (): void => {
    this.#written()
  }

  /** @param stream has a listener for errors already; its close tells of them. */
  constructor(owner: H2SessionOwner, stream: ServerHttp2Stream, head: H2RequestHead) {
    this.#owner = owner
    this.#stream = stream
    this.header = head.header
    this.bodyLength = head.bodyLength
    this.upgrade = head.header.upgrade
    this.acceptsTrailers = head.acceptsTrailers
    this.bodyDone = head.bodyLength === 0
    stream.on('aborted', () => {
      this.clientLeft()
    })
    stream.on('close', () => {
      this.#closed()
    })
    if (this.bodyDone) return
    // An empty body ends without anybody who reads it.
    stream.on('trailers', (_fields, _flags, raw?: string[]) => {
      this.#receivedTrailers(raw ?? [])
    })
    stream.on('end', () => {
      this.#requestEnded()
    })
  }

  get digest(): ConnectionDigest {
    return this.#owner.digest
  }

  get bodyBytesRead(): number {
    return this.#bytesRead + (this.#tunnel?.bytesRead ?? 0)
  }

  get bodyBytesWritten(): number {
    return this.#bytesWritten + (this.#tunnel?.bytesWritten ?? 0)
  }

  /** Bytes of bodies so far, both ways, those included that nobody has read yet. */
  get carriedBytes(): number {
    return this.bodyBytesRead + this.bodyBytesWritten + this.#stream.readableLength
  }

  /** Whether nothing waits for the client to take it. */
  get hasSentAll(): boolean {
    return this.#stream.writableLength === 0
  }

  startTunnel(): TunnelEnd {
    this.handler = null
    this.#tunnel = new H2TunnelEnd(this.#stream)
    return this.#tunnel
  }

  // The request

  readBody(): boolean {
    if (this.#finished || this.#gone) return false
    this.#reading = true
    if (this.bodyDone) {
      this.#deliverEnd()
      return false
    }
    if (!this.#listens) this.#listen()
    this.#watchReads()
    this.#stream.resume()
    return false
  }

  pauseBody(): void {
    if (this.#finished || !this.#reading) return
    this.#reading = false
    this.#readDeadline?.clear()
    if (!this.bodyDone) this.#stream.pause()
  }

  retain(): void {
    // Each chunk of a stream has memory of its own.
  }

  #listen(): void {
    this.#listens = true
    const stream = this.#stream
    stream.on('data', (chunk: Buffer) => {
      this.#received(chunk)
    })
  }

  #received(chunk: Buffer): void {
    // What comes after the answer, or after the client has left, is read away.
    const { handler } = this
    if (handler === null) return
    this.#owner.progressed()
    this.#watchReads()
    this.#bytesRead += chunk.length
    // Node notices it too, but tells of the bytes first.
    if (this.bodyLength >= 0 && this.#bytesRead > this.bodyLength) {
      this.#clientErred = true
      this.#fail(new ProxyError('PGR_REQUEST_BODY_INVALID', 'more bytes than Content-Length says'))
      return
    }
    handler.onRequestData(chunk, 0, chunk.length)
    // The handler may have changed its mind about this request meanwhile.
    this.handler?.onRequestReadEnd()
  }

  #receivedTrailers(raw: readonly string[]): void {
    try {
      this.#requestTrailers = readTrailerFields(raw, 'PGR_REQUEST_BODY_INVALID')
    } catch (thrown) {
      this.#clientErred = true
      this.#fail(toProxyError(thrown, 'PGR_REQUEST_BODY_INVALID'))
    }
  }

  #requestEnded(): void {
    if (this.handler === null || !isWhole(this.#stream)) return
    this.bodyDone = true
    this.#readDeadline?.clear()
    if (this.#reading) this.#deliverEnd()
  }

  #deliverEnd(): void {
    if (this.#endDelivered) return
    this.#endDelivered = true
    this.handler?.onRequestEnd(this.#requestTrailers)
  }

  // The response

  writeInterim(header: ResponseHeader): void {
    // HTTP/2 has no 101 (RFC 9113 §8.6).
    if (this.headerWritten || header.status === 101 || !this.#isOpen) return
    header.assertWritable()
    this.#stream.additionalHeaders(responseFields(header))
  }

  writeHeader(header: ResponseHeader, bodyLength: BodyLength): void {
    if (this.#finished) return
    if (this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'a second response head')
    header.assertWritable()
    const { headers, status } = header
    assertOpensTunnel(this.header.method, status, bodyLength)
    if (!headers.hasDate) headers.addDate(this.#owner.date.at(this.#owner.clock.wallMs()))
    if (bodyLength === TUNNEL) {
      this.#writeTunnelHeader(header)
      return
    }
    // Node ends the stream with the head of a 205, which has no content either (RFC 9110 §15.3.6).
    this.#skipsBody = hasNoBody(this.header.method, status) || status === 205
    const length = this.#skipsBody ? 0 : declaredLength(headers, bodyLength)
    if (!this.#skipsBody) this.#promisedBytes = headers.contentLength === undefined ? -1 : length
    if (status === 204) headers.remove('content-length')
    // A body of known length has trailers only where it comes over HTTP/2 itself.
    this.#mayTrail = !this.#skipsBody && (length < 0 || header.version === '2')
    this.headerWritten = true
    this.#heldFields = responseFields(header)
  }

  writeBody(buffer: Buffer, from: number, to: number): boolean {
    if (this.#finished || this.#skipsBody || to === from) return true
    if (!this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'a body before its head')
    const length = to - from
    this.#bytesWritten += length
    if (this.#promisedBytes >= 0 && this.#bytesWritten > this.#promisedBytes)
      throw new ProxyError('PGR_BODY_LENGTH_MISMATCH')
    if (!this.#isOpen) return true
    const isSmall = length <= MAX_COPIED_BYTES
    const bytes = isSmall ? Buffer.from(buffer.subarray(from, to)) : buffer.subarray(from, to)
    if (isSmall && this.#heldFields !== null && this.#heldBody === null) {
      this.#heldBody = bytes
      return true
    }
    this.#sendHeld()
    this.#stream.write(bytes, this.#onWritten)
    // Memory that is only lent has to stay as it is until it is sent.
    if (isSmall && this.#stream.writableLength < MAX_PENDING_BYTES) return true
    this.#drainWanted = true
    this.#watchWrites()
    return false
  }

  writeEnd(trailers: HeaderMap | null): void {
    if (this.#finished || this.responseDone) return
    if (!this.headerWritten) throw new ProxyError('PGR_RESPONSE_ORDER', 'an end before its head')
    if (this.#promisedBytes >= 0 && this.#bytesWritten !== this.#promisedBytes)
      throw new ProxyError('PGR_BODY_LENGTH_MISMATCH')
    this.responseDone = true
    if (!this.#isOpen) return
    this.#owner.progressed()
    this.#watchWrites()
    const fields = this.#heldFields
    const body = this.#heldBody
    this.#trailers = this.#skipsBody ? null : trailers
    // Nothing has left yet: now it is known whether trailers follow.
    if (fields !== null) this.#respond(fields, body === null, this.#trailers !== null)
    if (!this.#stream.writableEnded) {
      if (body === null) this.#stream.end()
      else this.#stream.end(body)
    }
  }

  flush(): void {
    if (this.#heldFields === null || this.#finished || !this.#isOpen) return
    this.#sendHeld()
    this.#watchWrites()
  }

  finish(): void {
    if (this.#finished) return
    if (this.#tunnel === null ? !this.responseDone : !this.#tunnel.isOver) {
      this.abort()
      return
    }
    this.#end()
    // The client need not send what nobody wants any more; its answer is complete (RFC 9113 §8.1).
    if (!this.#requestIsOver && this.#isOpen && !this.#awaitsTrailers) this.#closeCleanly()
    if (!this.keepAlive) this.#owner.wantsClose()
  }

  abort(): void {
    if (this.#finished) return
    this.#end()
    this.#break()
  }

  /** The client has broken the stream off, or its connection is gone. */
  clientLeft(): void {
    if (this.#gone) return
    this.#gone = true
    // Every stream closes in the end; an error, which costs more than all else here, is for those who wait.
    if (this.#tunnel === null && this.handler === null) return
    const error = new ProxyError('PGR_DOWNSTREAM_CLOSED')
    this.#tunnel?.fail(error)
    this.#fail(error)
  }

  /** Whether anything can still be sent. */
  get #isOpen(): boolean {
    return !this.#gone && !this.#stream.destroyed && !this.#stream.closed
  }

  /** Whether the client has sent all of the request, whoever has read it. */
  get #requestIsOver(): boolean {
    const { readableEnded, endAfterHeaders } = this.#stream
    // The body of a request for a tunnel is none, but its stream is open.
    return readableEnded || endAfterHeaders || (this.bodyDone && this.bodyLength !== 0)
  }

  #sendHeld(): void {
    const fields = this.#heldFields
    const body = this.#heldBody
    if (fields === null) return
    this.#respond(fields, this.#skipsBody, this.#mayTrail)
    if (body !== null) this.#stream.write(body, this.#onWritten)
  }

  #respond(fields: OutgoingHttpHeaders, ended: boolean, trails: boolean): void {
    this.#heldFields = null
    this.#heldBody = null
    this.#awaitsTrailers = trails
    if (trails)
      this.#stream.once('wantTrailers', () => {
        this.#sendTrailers()
      })
    const endStream = ended && !trails
    this.#stream.respond(fields, { endStream, waitForTrailers: trails })
  }

  /** The body is sent. Without trailers this ends the stream by an empty frame. */
  #sendTrailers(): void {
    if (!this.#isOpen) return
    this.#stream.sendTrailers(this.#trailers === null ? {} : trailerFields(this.#trailers))
    this.#awaitsTrailers = false
    if (this.#finished && !this.#requestIsOver) this.#closeCleanly()
  }

  /** What is 101 in HTTP/1 is 200 here, and needs no proof of understanding (RFC 8441 §5). */
  #writeTunnelHeader(header: ResponseHeader): void {
    this.headerWritten = true
    if (!this.#isOpen) return
    const fields = responseFields(header)
    if (header.status === 101) fields[':status'] = 200
    delete fields['content-length']
    delete fields['sec-websocket-accept']
    this.#stream.respond(fields)
  }

  #written(): void {
    if (this.#stream.writableLength > 0 || this.#gone) return
    this.#owner.progressed()
    if (!this.responseDone) this.#writeDeadline?.clear()
    if (!this.#drainWanted) return
    this.#drainWanted = false
    this.handler?.onDownstreamDrain()
  }

  // The end

  /** From here on all calls do nothing. */
  #end(): void {
    this.#finished = true
    this.handler = null
    this.#readDeadline?.dispose()
    this.#readDeadline = null
    // What was not read would keep the stream from closing.
    if (this.#listens) this.#stream.resume()
  }

  /** Only an error makes Node reset a stream: anything else would end an incomplete body cleanly. */
  #break(): void {
    this.#aborted = true
    if (!this.#stream.destroyed) this.#stream.destroy(new Error('aborted'))
  }

  /**
   * Resets what is left of the request once the response is sent: a reset goes out in the place of
   * all that waits. One that the client is too slow to take has its write time-out.
   */
  #closeCleanly(): void {
    const stream = this.#stream
    const resetSoon = (): void => {
      afterTurn(() => {
        if (!this.#isOpen || stream.state.localClose !== 1) return
        this.#aborted = true
        stream.close(constants.NGHTTP2_NO_ERROR)
      })
    }
    if (stream.writableFinished) resetSoon()
    else stream.once('finish', resetSoon)
  }

  #fail(error: ProxyError): void {
    const { handler } = this
    this.#readDeadline?.clear()
    if (handler === null) return
    this.handler = null
    handler.onDownstreamError(error)
  }

  #closed(): void {
    const { rstCode, aborted } = this.#stream
    // Whatever code a client gives, it has broken off what was not ended yet.
    const isSent = rstCode === constants.NGHTTP2_NO_ERROR && !aborted
    const byPeer = this.#clientErred || (!this.#aborted && !isSent)
    this.clientLeft()
    this.#readDeadline?.dispose()
    this.#writeDeadline?.dispose()
    this.#owner.closed(this, byPeer)
  }

  #watchReads(): void {
    const { deadlines, timeouts } = this.#owner
    this.#readDeadline ??= deadlines.deadline(() => {
      this.#fail(new ProxyError('PGR_BODY_TIMEOUT'))
    })
    this.#readDeadline.set(timeouts.bodyMs)
  }

  #watchWrites(): void {
    const { deadlines, timeouts } = this.#owner
    this.#writeDeadline ??= deadlines.deadline(() => {
      this.#fail(new ProxyError('PGR_DOWNSTREAM_WRITE_TIMEOUT'))
      this.#break()
    })
    if (!this.#writeDeadline.isSet) this.#writeDeadline.set(timeouts.writeMs)
  }
}

/** Small pieces are copied, so that their sender need not wait; large ones are lent until they are sent. */
const MAX_COPIED_BYTES = 16 * 1024
/** Copies that may wait before the sender has to. */
const MAX_PENDING_BYTES = 64 * 1024
