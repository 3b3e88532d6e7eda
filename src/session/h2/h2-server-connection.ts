/** A client's HTTP/2 connection: opens a session for each stream, and decides how the connection ends. */
import { constants, performServerHandshake } from 'node:http2'
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { LinkedSet } from '../../collections/index.js'
import { ProxyError, describeThrown, toProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import type { HttpDate } from '../../http/index.js'
import { counterSlot } from '../../observability/index.js'
import type { Clock, Deadline, DeadlineWheel } from '../../time/index.js'
import type {
  Connection,
  ConnectionDigest,
  ConnectionHandler,
  CountingDuplex,
} from '../../transport/index.js'
import type { DownstreamTimeouts } from '../h1-server-options.js'
import { reportRefusal } from '../refused-request.js'
import type { ServerConnection } from '../server-connection.js'
import { FloodGuard } from './flood-guard.js'
import { H2DownstreamSession } from './h2-downstream-session.js'
import type { H2SessionOwner } from './h2-downstream-session.js'
import { readRequestFields, responseFields } from './h2-fields.js'
import type { H2RequestHead } from './h2-fields.js'
import type { H2ServerOptions } from './h2-server-options.js'

/** `closing`: the client has been told which request was the last; those in progress are answered. */
type State = 'open' | 'closing' | 'closed'

/** Serves one connection, whose frames `node:http2` reads and writes. */
export class H2ServerConnection implements ConnectionHandler, ServerConnection, H2SessionOwner {
  readonly #connection: Connection
  readonly #options: H2ServerOptions
  readonly #onClosed: () => void
  readonly #sessions = new LinkedSet<H2DownstreamSession>()
  readonly #guard: FloodGuard
  /** Idle, or at its end: how long the client has for what is next. */
  readonly #deadline: Deadline
  /** When the bytes that came are looked at next. */
  readonly #nextLook: Deadline
  #state: State = 'open'
  #session: ServerHttp2Session | null = null
  #duplex: CountingDuplex | null = null
  /** What had come when it was last looked at. */
  #bytesSeen = 0
  /** Whether anything had come just before that. */
  #wasActive = false
  /** When the client was asked for a sign of life that it has not given yet; `null`: it was not. */
  #probedMs: number | null = null
  /** What the client is told at the end. */
  #goodbye: number = constants.NGHTTP2_NO_ERROR

  /** @param onClosed called once, when the connection is gone. */
  constructor(connection: Connection, options: H2ServerOptions, onClosed: () => void) {
    const { env, http2, limits } = options
    this.#connection = connection
    this.#options = options
    this.#onClosed = onClosed
    this.#guard = new FloodGuard(http2, limits.maxHeaderBytes, env.clock.nowMs())
    this.#deadline = env.deadlines.deadline(() => {
      this.#onTimeout()
    })
    this.#nextLook = env.deadlines.deadline(() => {
      this.#look()
    })
  }

  /** Takes the connection over and reads. @param prefix bytes that were read already. */
  start(prefix: Buffer | null = null): void {
    this.#connection.handler = this
    const duplex = this.#connection.takeDuplex(prefix ?? undefined)
    this.#duplex = duplex
    // Its close, which has no session to end, is on its way.
    if (duplex.destroyed) return
    const session = performServerHandshake(duplex, this.#sessionOptions())
    this.#session = session
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    session.on('stream', (stream, _fields, flags, raw?: string[]) => {
      this.#onStream(stream, flags, raw ?? [])
    })
    const onIdleFrame = (): void => {
      this.#onIdleFrame()
    }
    session.on('ping', onIdleFrame)
    session.on('remoteSettings', onIdleFrame)
    session.on('error', (error: Error) => {
      this.#onSessionError(error)
    })
    session.on('goaway', () => {
      this.#onGoaway()
    })
    this.#deadline.set(this.timeouts.headerMs)
    this.#nextLook.set(LOOK_EVERY_MS)
  }

  /**
   * Ends the connection once the requests in progress are answered. The client is told which is the last of
   * them; it may send later ones again elsewhere, and that is why `keepsIdle` is no different.
   */
  drain(): void {
    const session = this.#session
    if (this.#state !== 'open' || session === null || session.destroyed) return
    this.#state = 'closing'
    this.#deadline.clear()
    // Node has no notice that lets through what is on its way (RFC 9113 §6.8); and bytes of our own
    // between its frames have it abort the process.
    if (this.#sessions.size === 0) this.#linger()
    else session.close()
  }

  destroy(): void {
    // Not the session: that would end the streams in progress as if they were complete.
    this.#duplex?.destroy()
    if (this.#duplex === null) this.#connection.destroy()
  }

  get digest(): ConnectionDigest {
    return this.#connection.digest
  }

  get clock(): Clock {
    return this.#options.env.clock
  }

  /** The thread's time-outs. */
  get deadlines(): DeadlineWheel {
    return this.#options.env.deadlines
  }

  /** Those towards clients. */
  get timeouts(): DownstreamTimeouts {
    return this.#options.timeouts
  }

  get date(): HttpDate {
    return this.#options.date
  }

  // ConnectionHandler, of which only the close is told

  onData(): void {
    // The stream that was taken has them.
  }

  onEnd(): void {
    // As above.
  }

  onDrain(): void {
    // As above.
  }

  onClose(): void {
    this.#state = 'closed'
    this.#deadline.dispose()
    this.#nextLook.dispose()
    for (const session of this.#sessions) session.clientLeft()
    this.#onClosed()
  }

  // H2SessionOwner

  progressed(): void {
    this.#guard.progressed()
  }

  wantsClose(): void {
    this.drain()
  }

  closed(session: H2DownstreamSession, byPeer: boolean): void {
    if (session.link !== null) this.#sessions.remove(session.link)
    if (this.#state === 'closed') return
    this.#guard.closed(session.carriedBytes)
    if (byPeer && !this.#brokenOff()) return
    if (this.#sessions.size > 0) return
    if (this.#state === 'open') this.#deadline.set(this.timeouts.headerMs)
    else this.#linger()
  }

  // What comes

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    // Also of those that are told of after the end: without a listener they would end the process.
    stream.on('error', ignore)
    if (this.#state === 'closed' || stream.session?.destroyed !== false) return
    if (!this.#guard.opened(stream.id!, this.clock.nowMs())) {
      this.#endForFlood('heads that were refused')
      return
    }
    // Broken off in the read that it came with: nobody waits for an answer.
    if (stream.aborted) {
      this.#brokenOff()
      return
    }
    if (this.#state === 'open') this.#deadline.clear()
    let head: H2RequestHead
    try {
      const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
      head = readRequestFields(raw, ended, this.#options.allowConnect)
    } catch (thrown) {
      this.#refuse(stream, toProxyError(thrown, 'PGR_INTERNAL'))
      return
    }
    this.#options.counters.count(REQUESTS)
    const session = new H2DownstreamSession(this, stream, head)
    session.link = this.#sessions.add(session)
    this.#options.onRequest(session)
  }

  /** Answers what is not a request; it costs the client what one does that it breaks off. */
  #refuse(stream: ServerHttp2Stream, error: ProxyError): void {
    reportRefusal(this.#options, this.digest, error)
    if (!this.#brokenOff()) return
    const { header, body } = this.#options.errorResponse(error)
    header.headers.addDate(this.date.at(this.clock.wallMs()))
    stream.respond(responseFields(header))
    if (!stream.writableEnded) stream.end(body)
    stream.close(constants.NGHTTP2_NO_ERROR)
  }

  /** The client has spoiled a request. Returns whether the connection goes on. */
  #brokenOff(): boolean {
    const mayGoOn = this.#guard.brokenOff(this.clock.nowMs())
    if (!mayGoOn) this.#endForFlood('requests that were broken off or refused')
    return mayGoOn
  }

  #onIdleFrame(): void {
    if (!this.#guard.idleFrame(this.clock.nowMs())) this.#endForFlood('pings and settings')
  }

  /** Looks at what Node does not tell of. */
  #look(): void {
    const session = this.#session
    if (session === null || session.destroyed) return
    this.#nextLook.set(LOOK_EVERY_MS)
    if (this.#probedMs !== null && this.#state === 'open')
      this.#lookAtProbe(session, this.#probedMs)
    const bytesRead = this.#duplex?.bytesRead ?? 0
    if (bytesRead === this.#bytesSeen) {
      if (this.#wasActive) this.#probe(session)
      this.#wasActive = false
      return
    }
    this.#bytesSeen = bytesRead
    this.#wasActive = true
    let carried = 0
    for (const { carriedBytes } of this.#sessions) carried += carriedBytes
    if (!this.#guard.balances(bytesRead, carried, this.clock.nowMs()))
      this.#endForFlood('frames that carry nothing')
    else if (this.#hasUntoldHead(session)) this.#probe(session)
  }

  /**
   * Asks for a sign of life, when a connection falls quiet and when a head has begun without becoming a
   * request: that is still on its way, or was refused by Node. No other frame may come between its
   * pieces, so the answer says that it is over.
   */
  #probe(session: ServerHttp2Session): void {
    if (this.#probedMs !== null || this.#state !== 'open') return
    const begun = session.state.lastProcStreamID ?? 0
    this.#probedMs = this.clock.nowMs()
    session.ping((error) => {
      // The connection has gone.
      if (error !== null) return
      this.#probedMs = null
      this.#bytesSeen = this.#duplex?.bytesRead ?? 0
      if (begun > this.#guard.lastStream) this.#endCalmly('a head was refused')
    })
  }

  /** Whether a head has begun without becoming a request. */
  #hasUntoldHead(session: ServerHttp2Session): boolean {
    return (session.state.lastProcStreamID ?? 0) > this.#guard.lastStream
  }

  /** No answer yet. Node 20 may have given the connection up without a word: it then sends or reads no more. */
  #lookAtProbe(session: ServerHttp2Session, probedMs: number): void {
    const waitedMs = this.clock.nowMs() - probedMs
    const isStuck = (session.state.outboundQueueSize ?? 0) > 0
    if (isStuck && [...this.#sessions].every(({ hasSentAll }) => hasSentAll)) {
      this.#report('PGR_HTTP2_INVALID', 'a frame was wrong')
      this.destroy()
    } else if (waitedMs > this.timeouts.headerMs && this.#hasUntoldHead(session))
      this.#endForFlood('bytes of a head')
    else if (waitedMs > LINGER_MS && this.#sessions.size === 0) this.drain()
  }

  #onSessionError(error: Error): void {
    this.#report('PGR_HTTP2_INVALID', describeThrown(error))
  }

  #endForFlood(what: string): void {
    this.#report('PGR_HTTP2_FLOOD', `too many ${what}`)
    this.#state = 'closing'
    this.#deadline.set(LINGER_MS)
    const session = this.#session
    // An error, so that the streams in progress are reset and not ended.
    session?.destroy(new Error('flood'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  /** Ends it as {@link drain} does: what is in progress is of other value than what was refused. */
  #endCalmly(reason: string): void {
    this.#report('PGR_HTTP2_INVALID', reason)
    this.#goodbye = constants.NGHTTP2_ENHANCE_YOUR_CALM
    this.drain()
  }

  #report(code: ErrorCode, reason: string): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#options.counters.addError(code)
    const client = this.digest.peerAddress
    this.#options.logger.info('HTTP/2 connection ended', { client, code, reason })
  }

  // How it ends

  /** The client wants to close once what it has asked is answered; Node ends our side then. */
  #onGoaway(): void {
    if (this.#state === 'closed') return
    this.#state = 'closing'
    this.#deadline.clear()
    if (this.#sessions.size === 0) this.#linger()
  }

  /** Nothing is in progress any more: the client gets the time to take what was sent, and to close. */
  #linger(): void {
    this.#deadline.set(LINGER_MS)
    if (this.#goodbye === constants.NGHTTP2_NO_ERROR) this.#session?.close()
    else this.#session?.destroy(new Error('refused'), this.#goodbye)
  }

  #onTimeout(): void {
    if (this.#state === 'open') this.drain()
    else this.destroy()
  }

  #sessionOptions(): Parameters<typeof performServerHandshake>[1] {
    const { limits, http2 } = this.#options
    return {
      maxHeaderListPairs: limits.maxHeaders,
      maxSettings: MAX_SETTINGS,
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      settings: {
        maxConcurrentStreams: http2.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
        initialWindowSize: http2.initialWindowBytes,
        enableConnectProtocol: true,
      },
    }
  }
}

function ignore(): void {
  // The stream is over.
}

const REQUESTS = counterSlot('requests')
/** How long a client gets for a round trip at the end, and to close. */
const LINGER_MS = 2_000
/** What a client may send ahead over all requests; each has its own window besides. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024
/** How often what came is compared with what it was good for. */
const LOOK_EVERY_MS = 1_000
/** Entries of one SETTINGS frame. */
const MAX_SETTINGS = 32
/** Frames out of place, such as empty DATA, of one connection. */
const MAX_INVALID_FRAMES = 100
