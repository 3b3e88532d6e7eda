/** A client's HTTP/1 connection: reads requests one after the other, and decides how it ends. */
import { ProxyError, toProxyError } from '../error/index.js'
import type { HttpDate } from '../http/index.js'
import { counterSlot } from '../observability/index.js'
import {
  BodyDecoder,
  HeadMemory,
  HeadReader,
  parseRequestHead,
  requestSectionLimits,
  writeResponseHead,
} from '../protocols/index.js'
import type { RequestHead } from '../protocols/index.js'
import type { Clock, Deadline } from '../time/index.js'
import type { Connection, ConnectionDigest, ConnectionHandler } from '../transport/index.js'
import { H1DownstreamSession } from './h1-downstream-session.js'
import type { H1SessionOwner } from './h1-downstream-session.js'
import type { H1ServerOptions } from './h1-server-options.js'
import { H1TunnelEnd } from './h1-tunnel-end.js'
import { MessageWriter } from './message-writer.js'
import { reportRefusal } from './refused-request.js'
import type { ServerConnection } from './server-connection.js'

/**
 * Where the connection stands. `idle`: between requests. `head`: a head has begun. `request`: one is
 * served. `tunnel`: HTTP is over, and the connection is one end of a tunnel. `flushing`: the response
 * is done, but the client has not taken it all. `lingering`: our direction has ended, and what still
 * comes is thrown away. `closed`.
 */
type State = 'idle' | 'head' | 'request' | 'tunnel' | 'flushing' | 'lingering' | 'closed'

/**
 * Serves one connection. Requests that come before their turn (pipelining, RFC 9112 §9.3.2) wait as
 * bytes, at most {@link MAX_KEPT_BYTES} of them; then reading stops.
 */
export class H1ServerConnection implements ConnectionHandler, H1SessionOwner, ServerConnection {
  readonly writer: MessageWriter
  readonly #connection: Connection
  readonly #options: H1ServerOptions
  readonly #onClosed: () => void
  readonly #reader: HeadReader<RequestHead>
  readonly #decoder: BodyDecoder
  readonly #readDeadline: Deadline
  #writeDeadline: Deadline | null = null
  #pendingBytesSeen = 0
  #state: State = 'idle'
  #session: H1DownstreamSession | null = null
  #tunnel: H1TunnelEnd | null = null
  /** Bytes that came before anyone wants them. */
  #kept: Buffer | null = null
  #processing = false
  #draining = false
  #keepsIdle = false
  /** The client has sent its FIN, but bytes from before it still wait. */
  #ended = false

  /** @param onClosed called once, when the connection is gone. */
  constructor(connection: Connection, options: H1ServerOptions, onClosed: () => void) {
    this.#connection = connection
    this.#onClosed = onClosed
    this.#options = options
    this.writer = new MessageWriter(connection)
    const memory = new HeadMemory()
    this.#reader = new HeadReader(requestSectionLimits(options.limits), (head, start, to) =>
      parseRequestHead(head, start, to, options.limits.maxHeaders, memory, options.allowConnect),
    )
    this.#decoder = new BodyDecoder(BODY_CODES)
    this.#readDeadline = options.env.deadlines.deadline(() => {
      this.#onReadTimeout()
    })
  }

  /**
   * Takes the connection over and reads.
   * @param prefix bytes that were read before, which are now its own. Default: none.
   */
  start(prefix: Buffer | null = null): void {
    this.#connection.handler = this
    this.#readDeadline.set(this.#options.timeouts.headerMs)
    this.#connection.resume()
    this.#kept = prefix
    this.#processKept()
  }

  /**
   * Ends the connection when the request in progress is answered; when there is none, at once, or
   * with `keepsIdle` when the next one is answered.
   */
  drain(keepsIdle: boolean = false): void {
    this.#draining = true
    this.#keepsIdle = keepsIdle
    if (!keepsIdle && (this.#state === 'idle' || this.#state === 'head')) this.destroy()
  }

  /** Closes now, whatever is in progress. */
  destroy(): void {
    if (this.#tunnel !== null) {
      this.#tunnel.close()
      return
    }
    const { writer } = this
    const isCut = !writer.done || this.#connection.pendingBytes > 0
    // A body that ends with the connection looks complete after a FIN: only a reset tells.
    if (isCut && writer.endsWithConnection) this.#connection.reset()
    else this.#connection.destroy()
  }

  get digest(): ConnectionDigest {
    return this.#connection.digest
  }

  get clock(): Clock {
    return this.#options.env.clock
  }

  get date(): HttpDate {
    return this.#options.date
  }

  get mustClose(): boolean {
    return this.#draining || this.#hasEarlyBytes(this.#session)
  }

  // ConnectionHandler

  onData(buffer: Buffer, length: number): void {
    if (this.#kept !== null) this.#keep(buffer, 0, length)
    else this.#process(buffer, 0, length, false)
  }

  onEnd(): void {
    if (this.#state === 'request') this.#clientEnded()
    // An answer is still under way to a client that only ended its own direction.
    else if (this.#connection.pendingBytes > 0) this.#ended = true
    else this.#connection.destroy()
  }

  onDrain(): void {
    this.#writeDeadline?.clear()
    if (this.#state === 'flushing') this.#nextRequest()
    else if (this.#state === 'lingering') this.#linger()
    // The client had ended while its last answer was under way.
    else if (this.#ended && this.#session === null && this.#tunnel === null) this.onEnd()
    else this.#session?.handler?.onDownstreamDrain()
  }

  onClose(error: Error | null): void {
    this.#state = 'closed'
    this.#readDeadline.dispose()
    this.#writeDeadline?.dispose()
    this.#kept = null
    // Every connection closes, most of them idle; an error costs much and is for those who wait.
    if (this.#session?.handler)
      this.#fail(new ProxyError('PGR_DOWNSTREAM_CLOSED', undefined, { cause: error ?? undefined }))
    this.#onClosed()
  }

  // H1SessionOwner

  readBody(): boolean {
    const session = this.#session
    if (!session || this.#state !== 'request') return false
    session.reading = true
    if (session.bodyDone) {
      this.#deliverEnd(session)
      return false
    }
    this.#readDeadline.set(this.#options.timeouts.bodyMs)
    this.#connection.resume()
    if (this.#processing) return true
    this.#processKept()
    return false
  }

  pauseBody(): void {
    const session = this.#session
    if (session === null) return
    session.reading = false
    this.#readDeadline.clear()
    // After the body we read on, for a client that leaves says so with a FIN.
    if (!session.bodyDone) this.#connection.pause()
  }

  retain(): void {
    this.#connection.retain()
  }

  startTunnel(): H1TunnelEnd {
    const kept = this.#kept
    this.#kept = null
    this.#state = 'tunnel'
    this.#readDeadline.dispose()
    this.#writeDeadline?.dispose()
    this.#tunnel = new H1TunnelEnd({
      connection: this.#connection,
      kept,
      ended: this.#ended,
      goneError: (cause) => new ProxyError('PGR_DOWNSTREAM_CLOSED', undefined, { cause }),
      onClosed: () => {
        this.#state = 'closed'
        // What the client has sent may still be on its way up: until then the tunnel counts as open.
        if (this.#session === null) this.#onClosed()
      },
    })
    return this.#tunnel
  }

  watchWrites(): void {
    this.#writeDeadline ??= this.#options.env.deadlines.deadline(() => {
      this.#onWriteTimeout()
    })
    if (this.#writeDeadline.isSet) return
    this.#pendingBytesSeen = this.#connection.pendingBytes
    this.#writeDeadline.set(this.#options.timeouts.writeMs)
  }

  finished(session: H1DownstreamSession): void {
    if (this.#state === 'closed') return
    this.#session = null
    if (!session.keepAlive || !session.bodyDone || this.#hasEarlyBytes(session)) {
      this.#close(session.bodyDone && this.#kept === null)
      return
    }
    if (this.#connection.pendingBytes === 0) {
      this.#nextRequest()
      return
    }
    // A client that asks on and on and takes no answers must not fill our memory.
    this.#state = 'flushing'
    this.#connection.pause()
  }

  aborted(): void {
    this.#session = null
    if (this.#state !== 'closed') this.destroy()
    else if (this.#tunnel !== null) this.#onClosed()
  }

  // The reading side

  /** @param isOurs whether the memory is a copy that nobody overwrites: what is left need not be copied. */
  #process(buffer: Buffer, from: number, to: number, isOurs: boolean): void {
    this.#processing = true
    let at = from
    try {
      while (at < to) {
        const next = this.#step(buffer, at, to)
        if (next === STUCK) break
        at = next
      }
    } catch (thrown) {
      at = to
      this.#refuse(toProxyError(thrown, 'PGR_INTERNAL'))
    } finally {
      this.#processing = false
    }
    if (at < to && this.#state !== 'closed') {
      if (isOurs) this.#kept = buffer.subarray(at, to)
      else this.#keep(buffer, at, to)
    }
    this.#session?.handler?.onRequestReadEnd()
  }

  /** Takes some bytes; returns the position after them, or {@link STUCK} when nobody wants them now. */
  #step(buffer: Buffer, at: number, to: number): number {
    switch (this.#state) {
      case 'idle':
      case 'head':
        return this.#stepHead(buffer, at, to)
      case 'request':
        return this.#stepBody(buffer, at, to)
      case 'tunnel':
        this.#tunnel?.receive(buffer, at, to)
        return to
      case 'flushing':
        return STUCK
      default:
        return to
    }
  }

  #stepHead(buffer: Buffer, at: number, to: number): number {
    const head = this.#reader.read(buffer, at, to)
    const { next } = this.#reader
    if (head === null) {
      if (this.#state === 'idle' && this.#reader.begun) {
        this.#state = 'head'
        this.#readDeadline.set(this.#options.timeouts.headerMs)
      }
      return next
    }
    this.#readDeadline.clear()
    this.#options.counters.count(REQUESTS)
    this.#decoder.start(head.bodyLength)
    const session = new H1DownstreamSession(this, head)
    this.#session = session
    this.#state = 'request'
    this.#options.onRequest(session)
    return next
  }

  #stepBody(buffer: Buffer, at: number, to: number): number {
    const session = this.#session
    if (session === null || session.bodyDone || !session.reading) return STUCK
    const decoder = this.#decoder
    const next = decoder.next(buffer, at, to)
    this.#readDeadline.set(this.#options.timeouts.bodyMs)
    const { dataStart, dataEnd } = decoder
    session.requestBytes += dataEnd - dataStart
    // Before the data is told: who answers because of it must know that the request is complete.
    if (decoder.done) {
      session.bodyDone = true
      session.trailers = decoder.trailers
      this.#readDeadline.clear()
    }
    if (dataEnd > dataStart) session.handler?.onRequestData(buffer, dataStart, dataEnd)
    if (session.wantsEnd) this.#deliverEnd(session)
    return next
  }

  #deliverEnd(session: H1DownstreamSession): void {
    if (session.endDelivered) return
    session.endDelivered = true
    session.handler?.onRequestEnd(session.trailers)
  }

  #keep(buffer: Buffer, from: number, to: number): void {
    const bytes = buffer.subarray(from, to)
    this.#kept = this.#kept === null ? Buffer.from(bytes) : Buffer.concat([this.#kept, bytes])
    if (this.#kept.length >= MAX_KEPT_BYTES) this.#connection.pause()
  }

  #processKept(): void {
    const kept = this.#kept
    if (kept !== null) {
      this.#kept = null
      this.#process(kept, 0, kept.length, true)
    }
    if (this.#ended && this.#kept === null) this.onEnd()
  }

  // How it goes on, and how it ends

  #nextRequest(): void {
    // Kept, a client whose answer was promised another one gets to know by that one.
    if (this.#draining && !this.#keepsIdle) {
      this.#close(this.#kept === null)
      return
    }
    this.#state = 'idle'
    this.#readDeadline.set(this.#options.timeouts.headerMs)
    this.#connection.resume()
    if (!this.#processing) this.#processKept()
  }

  /** @param clean whether nothing unread can be on its way: then closing cannot destroy the answer. */
  #close(clean: boolean): void {
    const pending = this.#connection.pendingBytes > 0
    if (clean && !pending && !this.#processing) {
      this.#connection.destroy()
      return
    }
    this.#state = 'lingering'
    this.#kept = null
    this.#readDeadline.clear()
    this.#connection.end()
    this.#connection.resume()
    // The client gets the time to take the answer that every client has.
    if (pending) this.watchWrites()
    else this.#linger()
  }

  /** The answer is with the kernel: a close before the client's own would destroy it on the way. */
  #linger(): void {
    if (this.#ended) this.#connection.destroy()
    else this.#readDeadline.set(LINGER_MS)
  }

  /**
   * Bytes behind the head of an upgrade that was refused: perhaps of the other protocol, by a client
   * that did not wait for the 101. They must not be taken for a request.
   */
  #hasEarlyBytes(session: H1DownstreamSession | null): boolean {
    return this.#kept !== null && session !== null && session.upgrade !== null
  }

  #clientEnded(): void {
    this.#ended = true
    const session = this.#session
    const incomplete = session !== null && !session.bodyDone && this.#kept === null
    if (incomplete) this.#fail(new ProxyError('PGR_REQUEST_BODY_INCOMPLETE'))
    else if (this.#options.abortOnClose) this.#fail(new ProxyError('PGR_DOWNSTREAM_CLOSED'))
  }

  /** Answers what is not a request; from here on nothing is read. */
  #refuse(error: ProxyError): void {
    if (this.#state === 'request') {
      this.#fail(error)
      return
    }
    if (this.#state !== 'idle' && this.#state !== 'head') return
    reportRefusal(this.#options, this.digest, error)
    const { header, body } = this.#options.errorResponse(error)
    header.headers.set('Date', this.date.at(this.clock.wallMs()))
    this.writer.head(writeResponseHead(header, body.length, 'close'), body.length)
    this.writer.data(body, 0, body.length)
    this.writer.end(null)
    this.#close(false)
  }

  /** Tells the one who serves the request, if there is one and it has not finished. */
  #fail(error: ProxyError): void {
    const session = this.#session
    const handler = session?.handler
    this.#readDeadline.clear()
    if (session && handler) {
      session.handler = null
      handler.onDownstreamError(error)
    }
  }

  #onReadTimeout(): void {
    switch (this.#state) {
      case 'head':
        this.#refuse(new ProxyError('PGR_HEADER_TIMEOUT'))
        return
      case 'request':
        this.#fail(new ProxyError('PGR_BODY_TIMEOUT'))
        return
      default:
        this.#connection.destroy()
    }
  }

  #onWriteTimeout(): void {
    if (this.#connection.pendingBytes < this.#pendingBytesSeen) {
      this.watchWrites()
      return
    }
    this.#fail(new ProxyError('PGR_DOWNSTREAM_WRITE_TIMEOUT'))
    this.#connection.reset()
  }
}

const REQUESTS = counterSlot('requests')
/** `#step` returns this when bytes have to wait. */
const STUCK = -1
const BODY_CODES = {
  invalidCode: 'PGR_REQUEST_BODY_INVALID',
  incompleteCode: 'PGR_REQUEST_BODY_INCOMPLETE',
} as const
/** Pipelined requests and early bodies that may wait before reading stops. */
const MAX_KEPT_BYTES = 65_536
/** How long a client gets to take the last answer and end its own direction. */
const LINGER_MS = 2_000
