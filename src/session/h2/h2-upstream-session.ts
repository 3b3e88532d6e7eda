/** One HTTP/2 request to an upstream and its response, on a stream of `node:http2`. */
import { constants } from 'node:http2'
import type { ClientHttp2Stream } from 'node:http2'
import { addAbortSignal } from 'node:stream'
import { ProxyError, toProxyError } from '../../error/index.js'
import { hasNoBody } from '../../http/index.js'
import type { HeaderMap, RequestHeader } from '../../http/index.js'
import { MAX_INTERIM_RESPONSES, TUNNEL, isTunnelAnswer } from '../../protocols/index.js'
import type { BodyLength } from '../../protocols/index.js'
import type { Deadline, DeadlineWheel } from '../../time/index.js'
import type { ConnectionDigest, HttpPeer } from '../../transport/index.js'
import { lengthMismatch } from '../message-writer.js'
import type { TunnelEnd } from '../tunnel-end.js'
import type { UpstreamHandler, UpstreamSession } from '../upstream-session.js'
import { readResponseFields, readTrailerFields, requestFields, trailerFields } from './h2-fields.js'
import type { H2UpstreamConnection } from './h2-upstream-connection.js'
import { H2TunnelEnd } from './h2-tunnel-end.js'
import { streamFailure } from './stream-failure.js'

/** Who gets the stream's place on the connection back. */
export interface H2SessionOwner {
  /** Nothing of `session` is on its connection any more. Once. */
  sessionOver(session: H2UpstreamSession): void
  /** The peer wants to be asked by HTTP/1.1. */
  http1Required(session: H2UpstreamSession): void
}

/** What a session is made from. */
export interface H2UpstreamSessionParts {
  /** One stream on it is promised. */
  readonly connection: H2UpstreamConnection
  readonly peer: HttpPeer
  readonly handler: UpstreamHandler
  readonly deadlines: DeadlineWheel
  readonly owner: H2SessionOwner
}

/** One request and its response. The connection goes on whatever becomes of it. */
export class H2UpstreamSession implements UpstreamSession {
  requestStarted = false
  responseStarted = false
  bodyBytesRead = 0
  failure: ProxyError | null = null
  readonly connection: H2UpstreamConnection
  readonly peer: HttpPeer
  readonly #handler: UpstreamHandler
  readonly #deadlines: DeadlineWheel
  readonly #owner: H2SessionOwner
  readonly #readDeadline: Deadline
  #writeDeadline: Deadline | null = null
  #stream: ClientHttp2Stream | null = null
  #tunnel: H2TunnelEnd | null = null
  #method = ''
  #bodyLength: BodyLength = 0
  #bodyBytesWritten = 0
  #requestTrailers: HeaderMap | null = null
  #requestDone = false
  #drainWanted = false
  /** Bytes pending when the write time-out was set. */
  #pendingBytesSeen = 0
  #interims = 0
  #responseTrailers: HeaderMap | null = null
  #responseLength: BodyLength = 0
  #responseDone = false
  #paused = false
  #over = false
  readonly #afterWrite = (): void => {
    this.#onWritten()
  }

  constructor({ connection, peer, handler, deadlines, owner }: H2UpstreamSessionParts) {
    this.connection = connection
    this.peer = peer
    this.#handler = handler
    this.#deadlines = deadlines
    this.#owner = owner
    this.#readDeadline = deadlines.deadline(() => {
      this.#timeOut(new ProxyError('PGR_UPSTREAM_READ_TIMEOUT'))
    })
  }

  get digest(): ConnectionDigest {
    return this.connection.digest
  }

  get reusable(): boolean {
    return this.#responseDone && this.#requestDone
  }

  writeHeader(header: RequestHeader, bodyLength: BodyLength, acceptsTrailers: boolean): void {
    this.#method = header.method
    this.#bodyLength = bodyLength
    const hasBody = bodyLength !== 0
    // The stream of a CONNECT stays open, for what its answer may make of it.
    const endStream = !hasBody && this.#method !== 'CONNECT'
    const scheme = this.peer.tls ? 'https' : 'http'
    const fields = requestFields(header, scheme, acceptsTrailers)
    const stream = this.connection.request(fields, { endStream, waitForTrailers: hasBody })
    this.requestStarted = true
    this.#stream = stream
    this.#listen(stream)
  }

  writeBody(buffer: Buffer, from: number, to: number): boolean {
    const stream = this.#stream
    const length = to - from
    if (this.#over || stream === null || length === 0) return true
    this.#bodyBytesWritten += length
    if (this.#bodyLength >= 0 && this.#bodyBytesWritten > this.#bodyLength)
      throw lengthMismatch('longer')
    // What is small is copied, so that its memory can be used again at once.
    const isSmall = length <= MAX_COPIED_BYTES
    const bytes = buffer.subarray(from, to)
    const hasRoom = stream.write(isSmall ? Buffer.from(bytes) : bytes, this.#afterWrite)
    if (isSmall && hasRoom) return true
    this.#watchWrites()
    return false
  }

  writeEnd(trailers: HeaderMap | null): void {
    if (this.#over || this.#requestDone) return
    if (this.#bodyBytesWritten < this.#bodyLength) throw lengthMismatch('shorter')
    this.#requestDone = true
    this.#requestTrailers = trailers
    if (this.#bodyLength !== 0) this.#stream?.end()
    this.#armRead()
  }

  flush(): void {
    // Node sends what was written at the end of the turn.
  }

  pause(): void {
    if (this.#over) return
    this.#paused = true
    this.#readDeadline.clear()
    this.#stream?.pause()
  }

  resume(): void {
    if (this.#over || !this.#paused) return
    this.#paused = false
    this.#armRead()
    this.#stream?.resume()
  }

  retain(): void {
    // Each piece of a body has memory of its own.
  }

  startTunnel(): TunnelEnd {
    this.#end()
    this.#tunnel = new H2TunnelEnd(this.#stream!)
    return this.#tunnel
  }

  abort(): void {
    if (!this.#over) this.#end()
    const stream = this.#stream
    if (this.#tunnel?.isOver === true) return
    if (stream === null) this.#owner.sessionOver(this)
    else cancel(stream)
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (_headers: unknown, _flags: number, raw: string[]) => {
      this.#take(() => {
        this.#onInterim(raw)
      })
    })
    stream.on('response', (headers, flags, raw?: string[]) => {
      this.#take(() => {
        const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
        this.#onResponse(stream, raw ?? [], ended, headers[':status'] ?? 0)
      })
      if (this.#responseLength === TUNNEL) return
      // Only now: what is read from a stream of Node's own overtakes its events.
      stream.on('data', (chunk: Buffer) => {
        this.#onData(chunk)
      })
    })
    stream.on('trailers', (_headers, _flags, raw?: string[]) => {
      this.#take(() => {
        this.#responseTrailers = readTrailerFields(raw ?? [], 'PGR_RESPONSE_BODY_INVALID')
      })
    })
    stream.on('end', () => {
      this.#onEnd(stream)
    })
    stream.on('wantTrailers', () => {
      const trailers = this.#requestTrailers
      // Without trailers this sends an empty piece that ends the stream.
      stream.sendTrailers(trailers === null ? {} : trailerFields(trailers))
    })
    let error: Error | null = null
    stream.on('error', (reason: Error) => {
      error = reason
    })
    stream.on('close', () => {
      this.#onClose(stream, error)
      this.#owner.sessionOver(this)
    })
  }

  /** Takes something in, which may not be what it should be. */
  #take(read: () => void): void {
    if (this.#over) return
    try {
      read()
    } catch (thrown) {
      this.#fail(toProxyError(thrown, 'PGR_INTERNAL'))
      return
    }
    this.#armRead()
  }

  #onInterim(raw: readonly string[]): void {
    if (++this.#interims > MAX_INTERIM_RESPONSES)
      throw new ProxyError('PGR_RESPONSE_INVALID', 'too many 1xx')
    this.#handler.onInterim(readResponseFields(raw, false, true).header)
  }

  #onResponse(
    stream: ClientHttp2Stream,
    raw: readonly string[],
    ended: boolean,
    status: number,
  ): void {
    const { header, bodyLength } = readResponseFields(raw, ended, hasNoBody(this.#method, status))
    const opensTunnel = isTunnelAnswer(this.#method, status)
    this.responseStarted = true
    this.#responseLength = opensTunnel ? TUNNEL : bodyLength
    // What frames a body means nothing in an answer that has none.
    if (opensTunnel) header.headers.remove('content-length')
    else if (this.#method === 'CONNECT') stream.end()
    this.#handler.onResponse(header, this.#responseLength)
    if (!ended && !this.#over) this.#handler.onReadEnd()
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return
    this.bodyBytesRead += chunk.length
    if (!this.#paused) this.#armRead()
    this.#handler.onResponseData(chunk, 0, chunk.length)
    if (!this.#isOver()) this.#handler.onReadEnd()
  }

  /**
   * Node ends a stream that was reset as well. NO_ERROR counts as an end: servers on Node send it in
   * place of one when they had to wait for the window. All else is told when the stream is closed.
   */
  #onEnd(stream: ClientHttp2Stream): void {
    if (this.#over || !this.responseStarted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return
    if (this.bodyBytesRead < this.#responseLength) return
    this.#responseDone = true
    this.#end()
    this.#handler.onResponseEnd(this.#responseTrailers)
  }

  #onClose(stream: ClientHttp2Stream, error: Error | null): void {
    if (this.#tunnel?.isOver === false) this.#tunnel.fail(tunnelBroke(error))
    if (this.#over) return
    const { responseStarted, connection } = this
    const { isLost, lostBy } = connection
    if (stream.rstCode === constants.NGHTTP2_HTTP_1_1_REQUIRED) this.#owner.http1Required(this)
    const facts = { code: stream.rstCode, reason: error ?? lostBy, isLost, responseStarted }
    this.#fail(streamFailure(facts, this.peer))
  }

  #onWritten(): void {
    const stream = this.#stream
    if (this.#over || stream === null || stream.writableLength > 0) return
    this.#writeDeadline?.clear()
    if (!this.#paused) this.#armRead()
    if (!this.#drainWanted) return
    this.#drainWanted = false
    this.#handler.onUpstreamDrain()
  }

  /** Nothing may be wrong with the stream alone: then others must not be sent after it. */
  #timeOut(error: ProxyError): void {
    this.connection.check()
    this.#fail(error)
  }

  #fail(error: ProxyError): void {
    if (this.#over) return
    this.failure = error
    this.#end()
    if (this.#stream !== null) cancel(this.#stream)
    this.#handler.onUpstreamError(error)
  }

  /** Nothing is told any more. */
  #end(): void {
    this.#over = true
    this.#readDeadline.dispose()
    this.#writeDeadline?.dispose()
  }

  #armRead(): void {
    // Before it has the whole request the peer is not late: it may wait for the client as we do.
    if (this.#over || !this.#requestDone || (this.#stream?.writableLength ?? 0) > 0) return
    const { readTimeoutMs } = this.peer
    if (readTimeoutMs > 0) this.#readDeadline.set(readTimeoutMs)
  }

  #watchWrites(): void {
    this.#drainWanted = true
    const { writeTimeoutMs } = this.peer
    if (writeTimeoutMs === 0) return
    this.#writeDeadline ??= this.#deadlines.deadline(() => {
      this.#onWriteTimeout()
    })
    if (this.#writeDeadline.isSet) return
    this.#pendingBytesSeen = this.#stream?.writableLength ?? 0
    this.#writeDeadline.set(writeTimeoutMs)
  }

  #onWriteTimeout(): void {
    const pendingBytes = this.#stream?.writableLength ?? 0
    if (pendingBytes < this.#pendingBytesSeen) this.#watchWrites()
    else this.#timeOut(new ProxyError('PGR_UPSTREAM_WRITE_TIMEOUT'))
  }

  // A handler may end the exchange during a call, which the compiler cannot see.
  #isOver(): boolean {
    return this.#over
  }
}

/**
 * Resets the stream with CANCEL. Its own `close` would first end it in good order, so that a
 * request that was cut would look complete to the peer.
 */
function cancel(stream: ClientHttp2Stream): void {
  if (!stream.destroyed) addAbortSignal(ABORTED, stream)
}

function tunnelBroke(cause: Error | null): ProxyError {
  return new ProxyError('PGR_UPSTREAM_READ_FAILED', cause?.message, cause ? { cause } : {})
}

const ABORTED = AbortSignal.abort()
/** Up to here a copy costs less than waiting until the bytes are with the kernel. */
const MAX_COPIED_BYTES = 4_096
