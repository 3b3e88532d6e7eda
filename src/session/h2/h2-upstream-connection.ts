/** `H2UpstreamConnection`: one HTTP/2 connection to an upstream, and how many requests it may carry. */
import { connect } from 'node:http2'
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  ClientSessionRequestOptions,
  OutgoingHttpHeaders,
  Settings,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { ProxyError } from '../../error/index.js'
import type { Deadline, DeadlineWheel } from '../../time/index.js'
import type { Connection, ConnectionDigest, HttpPeer } from '../../transport/index.js'

/** Who is told of a connection's fate. */
export interface H2ConnectionOwner {
  /** It takes no more requests; those that it carries may still end well. Comes once. */
  connectionClosing(connection: H2UpstreamConnection): void
  /** It may take more requests than before. */
  connectionHasRoom(connection: H2UpstreamConnection): void
  /** It has been idle for as long as it may be. */
  connectionIdled(connection: H2UpstreamConnection): void
}

/** Opens streams until its peer says that it goes away, or is gone. */
export class H2UpstreamConnection {
  readonly digest: ConnectionDigest
  /** Streams that are open or promised. */
  streams = 0
  /** Whether its owner counts it among those that may have room; only for the owner. */
  isListed = false
  /** Falls due when it has been idle for too long; its owner sets it. */
  readonly idleDeadline: Deadline
  /** Why it was lost; `null` while it was not, or where the peer just closed it. */
  lostBy: Error | null = null
  readonly #session: ClientHttp2Session
  readonly #duplex: Duplex
  readonly #pingIntervalMs: number
  readonly #pingDeadline: Deadline
  #owner: H2ConnectionOwner | null = null
  /** What the peer allows. */
  #maxStreams = 0
  #isClosing = false
  #isPinging = false
  /** Called once the peer's settings are here, or cannot come any more. */
  #onReady: ((error: ProxyError | null) => void) | null = null

  private constructor(connection: Connection, peer: HttpPeer, deadlines: DeadlineWheel) {
    this.digest = connection.digest
    this.#pingIntervalMs = peer.h2PingIntervalMs
    this.idleDeadline = deadlines.deadline(() => {
      this.#owner?.connectionIdled(this)
    })
    this.#pingDeadline = deadlines.deadline(() => {
      this.#onPingDeadline()
    })
    connection.handler = new CloseListener((error) => {
      this.#lost(error)
    })
    const duplex = connection.takeDuplex()
    this.#duplex = duplex
    this.#session = connect(peer.tls ? 'https://upstream' : 'http://upstream', {
      ...SESSION_OPTIONS,
      createConnection: () => duplex,
    })
    this.#listen()
  }

  /**
   * Speaks HTTP/2 on `connection`, which it takes over. Resolves when the peer's settings have come:
   * only then is it known to speak HTTP/2, and how many requests it takes.
   * @throws {@link ProxyError} (rejects) `PGR_CONNECT_TIMEOUT` after the peer's `connectTimeoutMs`,
   * `PGR_UPSTREAM_H2_ERROR`; the signal's reason when that ended it. Then nothing stays open.
   */
  static open(
    connection: Connection,
    peer: HttpPeer,
    deadlines: DeadlineWheel,
    signal: AbortSignal,
  ): Promise<H2UpstreamConnection> {
    return new Promise((resolve, reject) => {
      const opened = new H2UpstreamConnection(connection, peer, deadlines)
      const tooSlow = deadlines.deadline(() => {
        const text = `${peer.toString()}: no HTTP/2 settings in ${peer.connectTimeoutMs} ms`
        end(new ProxyError('PGR_CONNECT_TIMEOUT', text))
      })
      const onAbort = (): void => {
        end(signal.reason as Error)
      }
      const end = (error: Error | null): void => {
        opened.#onReady = null
        tooSlow.dispose()
        signal.removeEventListener('abort', onAbort)
        if (error === null) {
          resolve(opened)
          return
        }
        opened.destroy()
        reject(error)
      }
      opened.#onReady = end
      if (peer.connectTimeoutMs > 0) tooSlow.set(peer.connectTimeoutMs)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
  }

  /** From now on `owner` is told; at once when the connection is closing already. */
  ownBy(owner: H2ConnectionOwner): void {
    this.#owner = owner
    if (this.#isClosing) owner.connectionClosing(this)
    else if (this.#pingIntervalMs > 0) this.#pingDeadline.set(this.#pingIntervalMs)
  }

  /** Whether it takes no more requests. */
  get isClosing(): boolean {
    return this.#isClosing
  }

  /** Whether nothing can come on it any more. */
  get isLost(): boolean {
    return this.#session.destroyed
  }

  /** Requests at once that the peer allows. */
  get maxStreams(): number {
    return this.#maxStreams
  }

  /** Promises one stream, of at most `maxStreams` at once; returns whether there was room. */
  reserve(maxStreams: number): boolean {
    if (this.#isClosing || this.streams >= Math.min(maxStreams, this.#maxStreams)) return false
    this.streams++
    return true
  }

  /**
   * Opens a promised stream. @throws {@link ProxyError} `PGR_UPSTREAM_CLOSED` when the peer has gone
   * meanwhile, which is no reason not to try elsewhere.
   */
  request(fields: OutgoingHttpHeaders, options: ClientSessionRequestOptions): ClientHttp2Stream {
    try {
      return this.#session.request(fields, options)
    } catch (cause) {
      const gone = this.#session.closed || this.#session.destroyed
      if (gone) throw new ProxyError('PGR_UPSTREAM_CLOSED', undefined, { cause, retry: 'yes' })
      throw new ProxyError('PGR_INTERNAL', 'the request cannot be written as HTTP/2', { cause })
    }
  }

  /** Asks the peer for a sign of life, and closes the connection when none comes. */
  check(): void {
    if (this.#isPinging || this.isLost) return
    this.#isPinging = this.#session.ping((error: Error | null) => {
      this.#isPinging = false
      if (error !== null || this.isLost) return
      if (this.#pingIntervalMs > 0) this.#pingDeadline.set(this.#pingIntervalMs)
      else this.#pingDeadline.clear()
    })
    if (this.#isPinging) this.#pingDeadline.set(PING_TIMEOUT_MS)
  }

  /** Closes it now, with all its streams. */
  destroy(): void {
    this.#close()
    this.#pingDeadline.dispose()
    const { closed } = this.#session
    this.#session.destroy()
    // Node would wait for a peer that goes away in good order to close, for ever.
    if (closed) this.#duplex.destroy()
  }

  #listen(): void {
    const session = this.#session
    session.once('connect', () => {
      session.setLocalWindowSize(WINDOW_BYTES)
    })
    session.on('remoteSettings', ({ maxConcurrentStreams = 0 }: Settings) => {
      const before = this.#maxStreams
      this.#maxStreams = maxConcurrentStreams
      if (this.#onReady !== null) this.#becomeReady()
      else if (maxConcurrentStreams > before) this.#owner?.connectionHasRoom(this)
    })
    session.on('goaway', () => {
      this.#close()
      if (this.streams === 0) this.destroy()
    })
    session.on('error', (error: Error) => {
      this.#lost(error)
    })
    session.on('close', () => {
      this.#lost(null)
    })
  }

  #becomeReady(): void {
    const refusal =
      this.#maxStreams > 0
        ? null
        : new ProxyError('PGR_UPSTREAM_H2_ERROR', 'the peer allows no requests at all')
    this.#onReady?.(refusal)
  }

  #onPingDeadline(): void {
    if (!this.#isPinging) {
      this.check()
      return
    }
    const text = `no answer to a ping in ${PING_TIMEOUT_MS} ms`
    this.#lost(new ProxyError('PGR_UPSTREAM_H2_ERROR', text))
  }

  #lost(error: Error | null): void {
    this.lostBy ??= error
    this.#close()
    this.#pingDeadline.dispose()
    this.#session.destroy(error ?? undefined)
    const text = error === null ? 'the peer closed before its settings came' : error.message
    const cause = error ?? undefined
    this.#onReady?.(new ProxyError('PGR_UPSTREAM_H2_ERROR', text, { cause }))
  }

  #close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.idleDeadline.dispose()
    this.#owner?.connectionClosing(this)
  }
}

/** Hears of nothing but the end, as a connection that was handed over tells of it. */
class CloseListener {
  readonly onClose: (error: Error | null) => void

  constructor(onClose: (error: Error | null) => void) {
    this.onClose = onClose
  }

  onData(): void {
    // The stream reads.
  }

  onEnd(): void {
    // The stream ends.
  }

  onDrain(): void {
    // The stream writes.
  }
}

/** Bytes that a peer may send on one stream, and on all of a connection, before we have read them. */
const WINDOW_BYTES = 1_048_576
/** As Pingora. */
const PING_TIMEOUT_MS = 5_000
const SESSION_OPTIONS = {
  settings: {
    enablePush: false,
    initialWindowSize: WINDOW_BYTES,
    maxHeaderListSize: 65_536,
  },
  // What a request may hold the downstream side has limited already.
  maxSendHeaderBlockLength: 1_048_576,
  maxHeaderListPairs: 128 + 1,
} as const
