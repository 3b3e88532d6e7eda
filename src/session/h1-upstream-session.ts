/** One HTTP/1 request to an upstream and its response. */
import { ProxyError, toProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import {
  BodyDecoder,
  HeadMemory,
  HeadReader,
  MAX_INTERIM_RESPONSES,
  RESPONSE_SECTION_LIMITS,
  isGranted,
  parseResponseHead,
  writeRequestHead,
} from '../protocols/index.js'
import type { BodyLength, ResponseHead } from '../protocols/index.js'
import type { Deadline, DeadlineWheel } from '../time/index.js'
import type { Connection, ConnectionDigest, ConnectionHandler } from '../transport/index.js'
import { H1TunnelEnd } from './h1-tunnel-end.js'
import { MessageWriter } from './message-writer.js'
import type { TunnelEnd } from './tunnel-end.js'
import type { UpstreamHandler, UpstreamSession } from './upstream-session.js'

/** Time-outs towards an upstream, in ms; 0 is none. */
export interface UpstreamTimeouts {
  /** Longest gap between bytes from the upstream while an answer is awaited. */
  readonly readTimeoutMs: number
  /** Longest time in which the upstream takes none of the bytes that wait. */
  readonly writeTimeoutMs: number
}

/**
 * The exchanges on an upstream connection, one after the other. The object lives as long as the
 * connection, so that an exchange on a pooled one makes nothing new; {@link open} starts each.
 */
export class H1UpstreamSession implements UpstreamSession, ConnectionHandler {
  responseStarted = false
  bodyBytesRead = 0
  failure: ProxyError | null = null
  /** The connection that carries the exchange, and those before and after it. */
  readonly connection: Connection
  #handler: UpstreamHandler
  #readTimeoutMs = 0
  #writeTimeoutMs = 0
  readonly #deadlines: DeadlineWheel
  readonly #writer: MessageWriter
  readonly #memory = new HeadMemory()
  readonly #reader = new HeadReader<ResponseHead>(RESPONSE_SECTION_LIMITS, (head, start, to) =>
    parseResponseHead(head, start, to, this.#method, this.#memory),
  )
  readonly #decoder = new BodyDecoder(BODY_CODES)
  readonly #readDeadline: Deadline
  #bytesBefore = 0
  #writeDeadline: Deadline | null = null
  #pendingBytesSeen = 0
  #method = ''
  /** What the request asks the connection to become. */
  #upgrade: string | null = null
  #tunnel: H1TunnelEnd | null = null
  #interims = 0
  #keepAlive = false
  #responseDone = false
  #paused = false
  #over = false
  #processing = false
  #kept: Buffer | null = null
  /** The peer's end came while the delivery was paused, with the error that was its reason. */
  #endKept = false
  #endError: Error | null = null

  private constructor(connection: Connection, handler: UpstreamHandler, deadlines: DeadlineWheel) {
    this.connection = connection
    this.#handler = handler
    this.#deadlines = deadlines
    this.#writer = new MessageWriter(connection)
    this.#readDeadline = deadlines.deadline(() => {
      this.#fail(new ProxyError('PGR_UPSTREAM_READ_TIMEOUT'))
    })
    connection.protocolState = this
  }

  /** Starts an exchange on `connection`, which it takes over. */
  static open(
    connection: Connection,
    handler: UpstreamHandler,
    timeouts: UpstreamTimeouts,
    deadlines: DeadlineWheel,
  ): H1UpstreamSession {
    const known = connection.protocolState
    const session =
      known instanceof H1UpstreamSession
        ? known
        : new H1UpstreamSession(connection, handler, deadlines)
    session.#begin(handler, timeouts)
    return session
  }

  #begin(handler: UpstreamHandler, timeouts: UpstreamTimeouts): void {
    this.#handler = handler
    this.#readTimeoutMs = timeouts.readTimeoutMs
    this.#writeTimeoutMs = timeouts.writeTimeoutMs
    this.responseStarted = false
    this.bodyBytesRead = 0
    this.#bytesBefore = this.connection.bytesWritten
    this.#method = ''
    this.#interims = 0
    this.#responseDone = false
    this.#paused = false
    this.#over = false
    this.connection.handler = this
    // A connection that ended between its opening and now has nobody left to tell.
    if (this.connection.destroyed) this.#fail(this.#closedError(null))
  }

  get digest(): ConnectionDigest {
    return this.connection.digest
  }

  get requestStarted(): boolean {
    return this.connection.bytesWritten > this.#bytesBefore
  }

  get reusable(): boolean {
    return (
      this.#responseDone &&
      this.#keepAlive &&
      this.#writer.done &&
      this.#kept === null &&
      !this.#endKept &&
      !this.connection.destroyed &&
      this.connection.pendingBytes === 0
    )
  }

  writeHeader(header: RequestHeader, bodyLength: BodyLength): void {
    this.#method = header.method
    this.#upgrade = header.upgrade
    this.#writer.head(writeRequestHead(header, bodyLength, 'default'), bodyLength)
    this.connection.resume()
  }

  writeBody(buffer: Buffer, from: number, to: number): boolean {
    if (this.#over) return true
    const drained = this.#writer.data(buffer, from, to)
    if (!drained) this.#watchWrites()
    return drained
  }

  writeEnd(trailers: HeaderMap | null): void {
    if (this.#over) return
    if (!this.#writer.end(trailers)) this.#watchWrites()
    this.#armRead()
  }

  flush(): void {
    if (!this.#over && !this.#writer.flush()) this.#watchWrites()
  }

  pause(): void {
    if (this.#over) return
    this.#paused = true
    this.#readDeadline.clear()
    this.connection.pause()
  }

  resume(): void {
    if (this.#over || !this.#paused) return
    this.#paused = false
    if (this.#processing) return
    this.#armRead()
    const kept = this.#kept
    if (kept !== null) {
      this.#kept = null
      this.#process(kept, 0, kept.length)
    }
    if (this.#isOver() || this.#isPaused()) return
    if (this.#responseDone) this.#complete()
    else if (this.#endKept) this.#finishAtEnd(this.#endError)
    else this.connection.resume()
  }

  retain(): void {
    this.connection.retain()
  }

  startTunnel(): TunnelEnd {
    const kept = this.#kept
    const endError = this.#endError
    this.#kept = null
    this.#end()
    this.#tunnel = new H1TunnelEnd({
      connection: this.connection,
      kept,
      ended: this.#endKept,
      goneError: (reason) => {
        const cause = reason ?? endError ?? undefined
        return new ProxyError('PGR_UPSTREAM_READ_FAILED', cause?.message, { cause })
      },
      onClosed: () => undefined,
    })
    return this.#tunnel
  }

  abort(): void {
    if (!this.#over) this.#end()
    if (this.#tunnel === null) this.connection.destroy()
    else this.#tunnel.close()
  }

  // ConnectionHandler

  onData(buffer: Buffer, length: number): void {
    if (this.#over) this.#keepAlive = false
    // Bytes before the request are no answer to it: whoever sent them is not to be trusted with it.
    else if (this.#method === '') this.#fail(spokeFirst())
    else if (this.#kept !== null) this.#keep(buffer, 0, length)
    else this.#process(buffer, 0, length)
  }

  onEnd(): void {
    if (this.#over) this.#keepAlive = false
    else if (this.#paused || this.#kept !== null) this.#endKept = true
    else this.#finishAtEnd(null)
  }

  onDrain(): void {
    this.#writeDeadline?.clear()
    if (this.#over) return
    if (!this.#paused) this.#armRead()
    this.#handler.onUpstreamDrain()
  }

  onClose(error: Error | null): void {
    if (this.#over) return
    // All that came before the end still counts, also when its delivery waits.
    if (this.#paused || this.#kept !== null) {
      this.#endKept = true
      this.#endError = error
    } else this.#finishAtEnd(error)
  }

  #process(buffer: Buffer, from: number, to: number): void {
    this.#processing = true
    let at = from
    try {
      while (at < to && !this.#over && !this.#paused) {
        if (this.#responseDone) break
        at = this.responseStarted ? this.#stepBody(buffer, at, to) : this.#stepHead(buffer, at, to)
      }
    } catch (thrown) {
      this.#fail(toProxyError(thrown, 'PGR_INTERNAL'))
    } finally {
      this.#processing = false
    }
    if (this.#over) {
      if (at < to) this.#tunnel?.receive(buffer, at, to)
      return
    }
    if (at < to) this.#keep(buffer, at, to)
    if (this.#isPaused()) {
      this.#handler.onReadEnd()
    } else if (this.#responseDone) {
      this.#complete()
    } else {
      this.#armRead()
      this.#handler.onReadEnd()
    }
  }

  #stepHead(buffer: Buffer, at: number, to: number): number {
    const head = this.#reader.read(buffer, at, to)
    const { next } = this.#reader
    if (head === null) return next
    const { header } = head
    if (header.status >= 200 || this.#switches(header)) {
      this.responseStarted = true
      this.#keepAlive = head.keepAlive
      this.#decoder.start(head.bodyLength)
      if (this.#decoder.done) this.#responseDone = true
      this.#handler.onResponse(header, head.bodyLength)
      return next
    }
    if (++this.#interims > MAX_INTERIM_RESPONSES)
      throw new ProxyError('PGR_RESPONSE_INVALID', 'too many 1xx')
    this.#handler.onInterim(header)
    return next
  }

  /**
   * Whether the peer speaks another protocol from here on. Only one that was asked for, and only when
   * it has the whole request (RFC 9110 §7.8): else both sides would take the same bytes differently.
   */
  #switches(header: ResponseHeader): boolean {
    if (header.status !== 101) return false
    if (!isGranted(header.upgrade, this.#upgrade)) {
      throw new ProxyError('PGR_RESPONSE_INVALID', 'a 101 nobody asked for')
    }
    if (!this.#writer.isComplete) {
      throw new ProxyError('PGR_RESPONSE_INVALID', 'a 101 before the end of the request')
    }
    return true
  }

  #stepBody(buffer: Buffer, at: number, to: number): number {
    const decoder = this.#decoder
    const next = decoder.next(buffer, at, to)
    const { dataStart, dataEnd } = decoder
    if (decoder.done) this.#responseDone = true
    if (dataEnd > dataStart) {
      this.bodyBytesRead += dataEnd - dataStart
      this.#handler.onResponseData(buffer, dataStart, dataEnd)
    }
    return next
  }

  /** Bytes that may not be told yet stay where they are: the connection reads into other memory. */
  #keep(buffer: Buffer, from: number, to: number): void {
    const bytes = buffer.subarray(from, to)
    if (this.#kept !== null) this.#kept = Buffer.concat([this.#kept, bytes])
    else this.#kept = Buffer.from(bytes)
  }

  #complete(): void {
    if (this.#over) return
    this.#end()
    this.#handler.onResponseEnd(this.#decoder.trailers)
  }

  /** The peer ended its direction: that completes a body until close, and breaks everything else. */
  #finishAtEnd(error: Error | null): void {
    this.#keepAlive = false
    if (this.responseStarted && error === null) {
      try {
        this.#decoder.finish()
      } catch (thrown) {
        this.#fail(toProxyError(thrown, 'PGR_INTERNAL'))
        return
      }
      this.#responseDone = true
      this.#complete()
      return
    }
    this.#fail(this.#closedError(error))
  }

  #closedError(reason: Error | null): ProxyError {
    const cause = reason ?? undefined
    if (this.responseStarted)
      return new ProxyError('PGR_RESPONSE_BODY_INCOMPLETE', undefined, { cause })
    const code = cause === undefined ? 'PGR_UPSTREAM_CLOSED' : 'PGR_UPSTREAM_READ_FAILED'
    // Between two requests a peer may close at any time, and the request meets the closing.
    const retry = this.#reader.begun || this.#interims > 0 ? 'no' : 'if-reused'
    return new ProxyError(code, cause?.message, { cause, retry })
  }

  #fail(error: ProxyError): void {
    if (this.#over) return
    this.failure = error
    this.#end()
    this.connection.destroy()
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
    if (!this.#writer.done || this.connection.pendingBytes > 0) return
    if (this.#readTimeoutMs > 0) this.#readDeadline.set(this.#readTimeoutMs)
  }

  #watchWrites(): void {
    if (this.#writeTimeoutMs === 0) return
    this.#writeDeadline ??= this.#deadlines.deadline(() => {
      this.#onWriteTimeout()
    })
    if (this.#writeDeadline.isSet) return
    this.#pendingBytesSeen = this.connection.pendingBytes
    this.#writeDeadline.set(this.#writeTimeoutMs)
  }

  #onWriteTimeout(): void {
    if (this.connection.pendingBytes < this.#pendingBytesSeen) this.#watchWrites()
    else this.#fail(new ProxyError('PGR_UPSTREAM_WRITE_TIMEOUT'))
  }

  // A handler may pause or end the exchange during a call, which the compiler cannot see.
  #isPaused(): boolean {
    return this.#paused
  }

  #isOver(): boolean {
    return this.#over
  }
}

function spokeFirst(): ProxyError {
  const message = 'the peer spoke before it was asked'
  return new ProxyError('PGR_RESPONSE_INVALID', message, { retry: 'if-reused' })
}

const BODY_CODES = {
  invalidCode: 'PGR_RESPONSE_BODY_INVALID',
  incompleteCode: 'PGR_RESPONSE_BODY_INCOMPLETE',
} as const
