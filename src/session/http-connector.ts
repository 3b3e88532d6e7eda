/** `HttpConnector`: opens sessions to upstreams, whatever protocol carries them. */
import { LruMap } from '../collections/index.js'
import { ProxyError } from '../error/index.js'
import { Counters, counterSlot } from '../observability/index.js'
import type { Connection, Connector, Environment, HttpPeer } from '../transport/index.js'
import { H1UpstreamSession } from './h1-upstream-session.js'
import { H2Connector } from './h2/h2-connector.js'
import { H2UpstreamSession } from './h2/h2-upstream-session.js'
import type { UpstreamHandler, UpstreamSession } from './upstream-session.js'

/** What an {@link HttpConnector} is made from. */
export interface HttpConnectorOptions {
  /** Gives the time. */
  readonly env: Environment
  /** Opens the connections, and keeps those of HTTP/1. */
  readonly connector: Connector
  /** Idle HTTP/2 connections kept over all peers, besides those of HTTP/1. Default: 128. */
  readonly maxIdleConnections?: number
  /** Counts what is reused. Default: its own. */
  readonly counters?: Counters
}

/** Opens sessions on connections that stand or are new. One per thread and service. */
export class HttpConnector {
  readonly #env: Environment
  readonly #connector: Connector
  readonly #counters: Counters
  readonly #h2: H2Connector
  /** Until when `auto` means HTTP/1 for a peer, by its key: it has said so. */
  readonly #http1Until = new LruMap<string, number>(MAX_REMEMBERED)

  constructor(options: HttpConnectorOptions) {
    const { env, connector, maxIdleConnections = 128, counters = new Counters() } = options
    this.#env = env
    this.#connector = connector
    this.#counters = counters
    this.#h2 = new H2Connector({
      deadlines: env.deadlines,
      maxIdle: maxIdleConnections,
      connect: (peer, signal) => connector.connect(peer, signal),
      speaksH2: (connection, peer) => this.#speaksH2(connection, peer),
      onHttp1Required: (peer) => {
        this.#rememberHttp1(peer)
      },
    })
  }

  /**
   * A session to `peer` on a connection that stands; `undefined` when there is none. Never waits.
   * @param upgrades whether the connection is to become another protocol's: `auto` is HTTP/1 then.
   */
  reuse(peer: HttpPeer, handler: UpstreamHandler, upgrades: boolean): UpstreamSession | undefined {
    if (peer.protocol !== 'http1' && !this.#isHttp1(peer, upgrades)) {
      const session = this.#h2.reuse(peer, handler)
      if (session !== undefined) this.#counters.count(REUSED)
      // Where nothing is agreed on yet, connections of HTTP/1 will do.
      if (session !== undefined || peer.protocol !== 'auto') return session
    }
    const connection = this.#connector.takeIdle(peer)
    return connection && this.#openHttp1(connection, peer, handler)
  }

  /**
   * Opens a session to `peer` on a new connection, which others that want one now may share. When it
   * fails nothing stays open.
   * @param upgrades as for `reuse`.
   * @throws {@link ProxyError} (rejects) as {@link Connector.connect}, and `PGR_UPSTREAM_H2_ERROR`
   * when the peer does not speak HTTP/2 and must.
   */
  async open(
    peer: HttpPeer,
    handler: UpstreamHandler,
    upgrades: boolean,
    signal: AbortSignal,
  ): Promise<UpstreamSession> {
    // Each turn somebody gets a new connection, and who gets none goes on with a new connect.
    while (peer.protocol !== 'http1' && !this.#isHttp1(peer, upgrades)) {
      const opened = await this.#h2.open(peer, handler, signal)
      if (opened === null) {
        const reused = this.#h2.reuse(peer, handler)
        if (reused !== undefined) return reused
      } else if (opened instanceof H2UpstreamSession) return opened
      else return this.#openHttp1(opened, peer, handler)
    }
    const alpn = peer.protocol === 'auto' ? ONLY_HTTP1 : undefined
    const connection = await this.#connector.connect(peer, signal, alpn)
    return this.#openHttp1(connection, peer, handler)
  }

  /** Takes back a session whose exchange is over: keeps its connection if it may serve another one. */
  release(peer: HttpPeer, session: UpstreamSession): void {
    if (!session.reusable) session.abort()
    else if (session instanceof H1UpstreamSession) this.#connector.release(peer, session.connection)
  }

  /** Closes idle connections; one that is in use is closed when it is released. */
  close(): void {
    this.#connector.close()
    this.#h2.close()
  }

  #openHttp1(connection: Connection, peer: HttpPeer, handler: UpstreamHandler): H1UpstreamSession {
    return H1UpstreamSession.open(connection, handler, peer, this.#env.deadlines)
  }

  #speaksH2(connection: Connection, peer: HttpPeer): boolean {
    if (peer.protocol === 'h2c' || connection.digest.tls?.alpn === 'h2') return true
    if (peer.protocol === 'auto') {
      this.#rememberHttp1(peer)
      return false
    }
    connection.destroy()
    throw new ProxyError('PGR_UPSTREAM_H2_ERROR', `${peer.toString()}: no HTTP/2 by ALPN`)
  }

  #isHttp1(peer: HttpPeer, upgrades: boolean): boolean {
    if (peer.protocol !== 'auto') return false
    if (upgrades) return true
    const untilMs = this.#http1Until.get(peer.reuseKey) ?? 0
    return this.#env.clock.nowMs() < untilMs
  }

  #rememberHttp1(peer: HttpPeer): void {
    if (peer.protocol !== 'auto') return
    this.#http1Until.set(peer.reuseKey, this.#env.clock.nowMs() + REMEMBERED_MS)
  }
}

const REUSED = counterSlot('upstreamConnectionsReused')
const ONLY_HTTP1: readonly string[] = ['http/1.1']
/** Peers whose choice of HTTP/1 is remembered, and for how long. */
const MAX_REMEMBERED = 1_024
const REMEMBERED_MS = 300_000
