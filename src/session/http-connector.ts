/** `HttpConnector`: opens sessions to upstreams, whatever protocol carries them. */
import type { Connector, Environment, HttpPeer } from '../transport/index.js'
import { H1UpstreamSession } from './h1-upstream-session.js'
import type { UpstreamHandler, UpstreamSession } from './upstream-session.js'

/** What an {@link HttpConnector} is made from. */
export interface HttpConnectorOptions {
  readonly env: Environment
  /** Opens the connections, and keeps those of HTTP/1. */
  readonly connector: Connector
}

/** Opens sessions on connections that stand or are new. One per thread and service. */
export class HttpConnector {
  readonly #env: Environment
  readonly #connector: Connector

  constructor({ env, connector }: HttpConnectorOptions) {
    this.#env = env
    this.#connector = connector
  }

  /** A session to `peer` on a connection that stands; `undefined` when there is none. Never waits. */
  reuse(peer: HttpPeer, handler: UpstreamHandler): UpstreamSession | undefined {
    const connection = this.#connector.takeIdle(peer)
    if (connection === undefined) return undefined
    return H1UpstreamSession.open(connection, handler, peer, this.#env.deadlines)
  }

  /**
   * Opens a session to `peer` on a new connection. When it fails nothing stays open.
   * @throws as {@link Connector.connect} (rejects).
   */
  async open(
    peer: HttpPeer,
    handler: UpstreamHandler,
    signal: AbortSignal,
  ): Promise<UpstreamSession> {
    const connection = await this.#connector.connect(peer, signal)
    return H1UpstreamSession.open(connection, handler, peer, this.#env.deadlines)
  }

  /** Takes back a session whose exchange is over: keeps its connection if it may serve another one. */
  release(peer: HttpPeer, session: UpstreamSession): void {
    if (!session.reusable) session.abort()
    else if (session instanceof H1UpstreamSession) this.#connector.release(peer, session.connection)
  }

  /** Closes idle connections; one that is in use is closed when it is released. */
  close(): void {
    this.#connector.close()
  }
}
