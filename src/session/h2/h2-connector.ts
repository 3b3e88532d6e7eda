/** `H2Connector`: opens HTTP/2 sessions to upstreams, many on one connection. */
import type { DeadlineWheel } from '../../time/index.js'
import type { Connection, HttpPeer } from '../../transport/index.js'
import type { UpstreamHandler } from '../upstream-session.js'
import { H2UpstreamConnection } from './h2-upstream-connection.js'
import { H2UpstreamPool } from './h2-upstream-pool.js'
import { H2UpstreamSession } from './h2-upstream-session.js'
import type { H2SessionOwner } from './h2-upstream-session.js'
import { SharedDial } from './shared-dial.js'

/** What an {@link H2Connector} is made from. */
export interface H2ConnectorOptions {
  readonly deadlines: DeadlineWheel
  /** Connections without a request that are kept over all peers. */
  readonly maxIdle: number
  /** Opens a connection to a peer. */
  readonly connect: (peer: HttpPeer, signal: AbortSignal) => Promise<Connection>
  /** Whether the peer of a new connection speaks HTTP/2. @throws when it must and does not. */
  readonly speaksH2: (connection: Connection, peer: HttpPeer) => boolean
  /** The peer wants HTTP/1.1 for what it was asked. */
  readonly onHttp1Required: (peer: HttpPeer) => void
}

/** What a connect ends in; a `Connection` when the peer speaks HTTP/1. */
type Connected = H2UpstreamConnection | Connection

/** Shares connections out among requests, within what peers and their settings allow. */
export class H2Connector implements H2SessionOwner {
  readonly #options: H2ConnectorOptions
  readonly #pool: H2UpstreamPool
  /** Of each key the connect that others may still join. */
  readonly #dials = new Map<string, SharedDial<Connected>>()

  constructor(options: H2ConnectorOptions) {
    this.#options = options
    this.#pool = new H2UpstreamPool(options.maxIdle)
  }

  /** A session on a connection that stands and has room. Never waits. */
  reuse(peer: HttpPeer, handler: UpstreamHandler): H2UpstreamSession | undefined {
    const connection = this.#pool.take(peer.reuseKey, peer.maxH2Streams)
    return connection && this.#session(connection, peer, handler)
  }

  /**
   * A session on a new connection, which others may share; or the connection, when the peer speaks
   * HTTP/1; `null`: others have taken all that it carries.
   * @throws {@link ProxyError} (rejects) as connecting does, and as {@link H2UpstreamConnection.open}.
   */
  async open(
    peer: HttpPeer,
    handler: UpstreamHandler,
    signal: AbortSignal,
  ): Promise<H2UpstreamSession | Connection | null> {
    const share = await this.#dialOf(peer).wait(signal)
    return share instanceof H2UpstreamConnection ? this.#session(share, peer, handler) : share
  }

  sessionOver({ connection, peer }: H2UpstreamSession): void {
    this.#pool.release(connection, peer.idleTimeoutMs)
  }

  http1Required({ peer }: H2UpstreamSession): void {
    this.#options.onHttp1Required(peer)
  }

  /** Closes idle connections; one that is in use is closed when its last request is over. */
  close(): void {
    this.#pool.closeAll()
  }

  #session(
    connection: H2UpstreamConnection,
    peer: HttpPeer,
    handler: UpstreamHandler,
  ): H2UpstreamSession {
    const { deadlines } = this.#options
    return new H2UpstreamSession({ connection, peer, handler, deadlines, owner: this })
  }

  /** A connect that has not as many requests yet as its connection will carry. */
  #dialOf(peer: HttpPeer): SharedDial<Connected> {
    const key = peer.reuseKey
    const joinable = this.#dials.get(key)
    if (joinable !== undefined && joinable.size < peer.maxH2Streams) return joinable
    let isHttp1Taken = false
    const dial = new SharedDial<Connected>({
      dial: (signal) => this.#connect(peer, signal),
      share: (connected) => {
        if (connected instanceof H2UpstreamConnection)
          return connected.reserve(peer.maxH2Streams) ? connected : null
        if (isHttp1Taken) return null
        isHttp1Taken = true
        return connected
      },
      onShared: (connected) => {
        if (connected instanceof H2UpstreamConnection) {
          if (connected.streams === 0) connected.destroy()
        } else if (!isHttp1Taken) connected.destroy()
      },
      onOver: () => {
        if (this.#dials.get(key) === dial) this.#dials.delete(key)
      },
    })
    this.#dials.set(key, dial)
    return dial
  }

  async #connect(peer: HttpPeer, signal: AbortSignal): Promise<Connected> {
    const { connect, speaksH2, deadlines } = this.#options
    const connection = await connect(peer, signal)
    if (!speaksH2(connection, peer)) return connection
    const opened = await H2UpstreamConnection.open(connection, peer, deadlines, signal)
    this.#pool.add(peer.reuseKey, opened)
    return opened
  }
}
