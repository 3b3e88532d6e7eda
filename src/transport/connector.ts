/** `Connector`: how the proxy gets connections to its peers, pooled or new. */
import { Counters, SILENT_LOGGER, counterSlot } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import { ConnectAttempt } from './connect-attempt.js'
import type { ConnectSettings } from './connect-attempt.js'
import type { Connection } from './connection.js'
import type { Environment } from './environment.js'
import type { HttpPeer } from './http-peer.js'
import { ConnectionPool } from './pool.js'
import { REAL_ENVIRONMENT } from './real-environment.js'
import type { Pem } from './tls-client-options.js'

/** What a {@link Connector} is made from. */
export interface ConnectorOptions {
  /** Time, network and chance. Default: the real ones. */
  readonly env?: Environment
  /** Idle connections kept over all peers, 0 to 1000000. Default: 128. */
  readonly maxIdleConnections?: number
  /** Contents of `ca_file`: trusted by peers that name no CA. Default: those of Node. */
  readonly ca?: Pem
  /** Gets each line of the key log of TLS to peers. Default: none. */
  readonly onKeyLog?: (line: Buffer) => void
  /** IPv4 addresses to connect from; one is picked at random. Default: the kernel's choice. */
  readonly clientBindToIpv4?: readonly string[]
  /** IPv6 addresses to connect from; one is picked at random. Default: the kernel's choice. */
  readonly clientBindToIpv6?: readonly string[]
  /** Counts what is opened and reused. Default: its own. */
  readonly counters?: Counters
  /** Told of peers that speak unasked. Default: silent. */
  readonly logger?: Logger
}

/** Opens connections to peers and keeps the idle ones. One per thread and service. */
export class Connector {
  readonly #settings: ConnectSettings
  readonly #pool: ConnectionPool
  readonly #counters: Counters

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` when `maxIdleConnections` is out of range. */
  constructor(options: ConnectorOptions = {}) {
    const { env = REAL_ENVIRONMENT, counters = new Counters(), logger = SILENT_LOGGER } = options
    const {
      clientBindToIpv4 = [],
      clientBindToIpv6 = [],
      maxIdleConnections,
      ca,
      onKeyLog,
    } = options
    this.#settings = { env, ca, onKeyLog, clientBindToIpv4, clientBindToIpv6 }
    this.#counters = counters
    this.#pool = new ConnectionPool({
      deadlines: env.deadlines,
      counters,
      logger,
      ...(maxIdleConnections !== undefined && { maxIdleConnections }),
    })
  }

  /** An idle connection to `peer`, reading; `undefined` when there is none. O(1), never waits. */
  takeIdle(peer: HttpPeer): Connection | undefined {
    const connection = this.#pool.take(peer.reuseKey)
    if (connection !== undefined) this.#counters.count(REUSED)
    return connection
  }

  /**
   * Opens a connection to `peer`, paused, with TLS where the peer asks for it. The addresses of a
   * name are tried in turn. When it fails nothing stays open.
   * @param alpn protocols to offer in the TLS handshake. Default: the peer's.
   * @throws {@link ProxyError} (rejects) `PGR_RESOLVE_FAILED`, `PGR_CONNECT_TIMEOUT`,
   * `PGR_CONNECT_REFUSED`, `PGR_CONNECT_NO_ROUTE`, `PGR_CONNECT_FAILED`, `PGR_BIND_FAILED`,
   * `PGR_TLS_HANDSHAKE_TIMEOUT`, `PGR_TLS_HANDSHAKE_FAILED`, `PGR_CERTIFICATE_INVALID`; the
   * signal's reason when that ended it.
   */
  async connect(
    peer: HttpPeer,
    signal?: AbortSignal,
    alpn?: readonly string[],
  ): Promise<Connection> {
    const connection = await new ConnectAttempt(this.#settings, peer, signal, alpn).run()
    this.#counters.add('upstreamConnectionsOpened')
    return connection
  }

  /** Takes a connection back for the next use by an equal peer, or closes it. Never waits. */
  release(peer: HttpPeer, connection: Connection): void {
    this.#pool.release(peer.reuseKey, connection, peer.idleTimeoutMs)
  }

  /** Closes the idle connections; one that is in use is closed when it is released. */
  close(): void {
    this.#pool.closeAll()
  }

  /** Idle connections kept now. */
  get idleConnections(): number {
    return this.#pool.size
  }
}

const REUSED = counterSlot('upstreamConnectionsReused')
