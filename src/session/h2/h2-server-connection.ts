/** A client's HTTP/2 connection: opens a session for each stream, and decides how the connection ends. */
import { constants, performServerHandshake } from 'node:http2'
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { ProxyError, describeThrown, toProxyError } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import type { HttpDate } from '../../http/index.js'
import { counterSlot } from '../../observability/index.js'
import type { Clock, Deadline, DeadlineWheel } from '../../time/index.js'
import type { Connection, ConnectionDigest, ConnectionHandler } from '../../transport/index.js'
import type { DownstreamTimeouts } from '../h1-server-options.js'
import { reportRefusal } from '../refused-request.js'
import type { ServerConnection } from '../server-connection.js'
import { H2DownstreamSession } from './h2-downstream-session.js'
import type { H2SessionOwner } from './h2-downstream-session.js'
import { readRequestFields, responseFields } from './h2-fields.js'
import type { H2RequestHead } from './h2-fields.js'
import type { H2ServerOptions } from './h2-server-options.js'
import { RateLimit } from './rate-limit.js'

/**
 * Where the connection stands. `draining`: the client has been told that no more requests are wanted,
 * but those that it sends meanwhile are served. `closing`: it has been told which were the last, and
 * they are served. `closed`.
 */
type State = 'open' | 'draining' | 'closing' | 'closed'

/** Serves one connection, whose frames `node:http2` reads and writes. */
export class H2ServerConnection implements ConnectionHandler, ServerConnection, H2SessionOwner {
  readonly #connection: Connection
  readonly #options: H2ServerOptions
  readonly #onClosed: () => void
  readonly #sessions = new Set<H2DownstreamSession>()
  readonly #resets: RateLimit
  /** Idle, or at its end: how long the client has for what is next. */
  readonly #deadline: Deadline
  #state: State = 'open'
  #session: ServerHttp2Session | null = null
  #duplex: Duplex | null = null
  /** Frames that carry nothing, since the last that did. */
  #idleFrames = 0

  /** @param onClosed called once, when the connection is gone. */
  constructor(connection: Connection, options: H2ServerOptions, onClosed: () => void) {
    const { env, http2 } = options
    this.#connection = connection
    this.#options = options
    this.#onClosed = onClosed
    this.#resets = new RateLimit(http2.resetBurst, http2.resetsPerSecond, env.clock.nowMs())
    this.#deadline = env.deadlines.deadline(() => {
      this.#onTimeout()
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
  }

  /**
   * Ends the connection once the requests in progress are answered. It asks the client to send no more
   * and gives it the time to hear of it, so that none is lost; that is why `keepsIdle` is no different.
   */
  drain(): void {
    const session = this.#session
    if (this.#state !== 'open' || session === null || session.destroyed) return
    this.#state = 'draining'
    this.#deadline.set(LINGER_MS)
    // By ourselves, at the border of two frames: what Node sends has it refuse new streams at once.
    this.#duplex?.write(SHUTDOWN_NOTICE)
    // The answer to a ping may overtake a request; what has left by then comes before the second one.
    this.#afterPing(() => {
      this.#afterPing(() => {
        this.#close()
      })
    })
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
    for (const session of this.#sessions) session.clientLeft()
    this.#onClosed()
  }

  // H2SessionOwner

  progressed(): void {
    this.#idleFrames = 0
  }

  wantsClose(): void {
    this.drain()
  }

  closed(session: H2DownstreamSession, byPeer: boolean): void {
    this.#sessions.delete(session)
    if (this.#state === 'closed') return
    if (byPeer && !this.#resets.take(this.clock.nowMs())) {
      this.#endForFlood('resets')
      return
    }
    if (this.#sessions.size > 0) return
    if (this.#state === 'open') this.#deadline.set(this.timeouts.headerMs)
    else if (this.#state === 'closing') this.#linger()
  }

  // What comes

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    if (this.#state === 'closed') return
    this.progressed()
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
    this.#sessions.add(session)
    this.#options.onRequest(session)
  }

  /** Answers what is not a request. */
  #refuse(stream: ServerHttp2Stream, error: ProxyError): void {
    reportRefusal(this.#options, this.digest, error)
    stream.on('error', ignore)
    const { header, body } = this.#options.errorResponse(error)
    header.headers.addDate(this.date.at(this.clock.wallMs()))
    stream.respond(responseFields(header))
    if (!stream.writableEnded) stream.end(body)
    stream.close(constants.NGHTTP2_NO_ERROR)
  }

  /** A ping is answered, settings are acknowledged: who sends nothing else wants just that. */
  #onIdleFrame(): void {
    if (++this.#idleFrames > MAX_IDLE_FRAMES) this.#endForFlood('pings and settings')
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

  #report(code: ErrorCode, reason: string): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#options.counters.addError(code)
    const client = this.digest.peerAddress
    this.#options.logger.info('HTTP/2 connection ended', { client, code, reason })
  }

  #afterPing(next: () => void): void {
    if (this.#session?.destroyed === false) this.#session.ping(next)
  }

  // How it ends

  /** Says which request was the last; the connection closes when all are answered. */
  #close(): void {
    if (this.#state !== 'draining') return
    this.#state = 'closing'
    this.#deadline.clear()
    this.#session?.close()
    if (this.#sessions.size === 0) this.#linger()
  }

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
  }

  #onTimeout(): void {
    if (this.#state === 'open') this.drain()
    else if (this.#state === 'draining') this.#close()
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
/** GOAWAY whose last stream is as good as none: what the client is about to send is served (RFC 9113 §6.8). */
const SHUTDOWN_NOTICE = Buffer.from('0000080700000000007fffffff00000000', 'hex')
/** How long a client gets for a round trip at the end, and to close. */
const LINGER_MS = 2_000
/** What a client may send ahead over all requests; each has its own window besides. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024
/** Pings and settings in a row, with nothing in between that carries anything. */
const MAX_IDLE_FRAMES = 1_000
/** Entries of one SETTINGS frame. */
const MAX_SETTINGS = 32
/** Frames out of place, such as empty DATA, of one connection. */
const MAX_INVALID_FRAMES = 100
