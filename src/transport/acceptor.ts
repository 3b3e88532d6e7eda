/** `Acceptor`: one listener with limits on how many connections it, and each client, may hold. */
import { intInRange } from '../error/index.js'
import { Counters, SILENT_LOGGER } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import type { Connection } from './connection.js'
import type { Environment, Listener } from './environment.js'
import type { ListenOptions } from './listen-options.js'
import { REAL_ENVIRONMENT } from './real-environment.js'

/** What an {@link Acceptor} is made from. */
export interface AcceptorOptions extends ListenOptions {
  /** Where to listen. */
  readonly address: SocketAddress
  /** Connections that may be open at once; 0: no limit. Default: 10000. */
  readonly maxConnections?: number
  /** Connections that one client IP may have open at once; 0: no limit. Default: 0. */
  readonly maxConnectionsPerClient?: number
  /** Time, network and chance. Default: the real ones. */
  readonly env?: Environment
  /** Counts what is accepted, open and refused. Default: its own. */
  readonly counters?: Counters
  /** Told when a limit is reached, at most once per second. Default: silent. */
  readonly logger?: Logger
}

/**
 * Accepts connections and counts them, per client IP too. Clients over a unix socket have no IP
 * and are only counted together. Memory is O(open connections); idle clients are forgotten.
 */
export class Acceptor {
  readonly #env: Environment
  readonly #options: AcceptorOptions
  readonly #maxConnections: number
  readonly #maxPerClient: number
  readonly #counters: Counters
  readonly #logger: Logger
  readonly #open = new Set<Connection>()
  readonly #openPerClient = new Map<string, number>()
  #listener: Listener | null = null
  #closed = false
  #nextLogMs = -Infinity
  #refusedUnlogged = 0

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` when a limit is negative or no integer. */
  constructor(options: AcceptorOptions) {
    const { maxConnections = DEFAULT_MAX_CONNECTIONS, maxConnectionsPerClient = 0 } = options
    const highest = Number.MAX_SAFE_INTEGER
    this.#maxConnections = intInRange('maxConnections', maxConnections, 0, highest)
    this.#maxPerClient = intInRange('maxConnectionsPerClient', maxConnectionsPerClient, 0, highest)
    this.#options = options
    this.#env = options.env ?? REAL_ENVIRONMENT
    this.#counters = options.counters ?? new Counters()
    this.#logger = options.logger ?? SILENT_LOGGER
  }

  /**
   * Starts to listen. `onConnection` gets each connection paused, and calls {@link released} from
   * its handler's `onClose`.
   * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
   */
  async listen(onConnection: (connection: Connection) => void): Promise<void> {
    const { address, backlog, unixMode } = this.#options
    const options: ListenOptions = {
      ...(backlog !== undefined && { backlog }),
      ...(unixMode !== undefined && { unixMode }),
      onAcceptError: (error) => {
        const listener = formatAddress(this.address)
        this.#logger.error('accepting failed, trying again each second', {
          listener,
          reason: error.message,
        })
      },
    }
    const listener = await this.#env.network.listen(address, options, (connection) => {
      this.#accept(connection, onConnection)
    })
    this.#listener = listener
    if (this.#closed) await listener.close()
  }

  /** To be called when an accepted connection is closed; later calls for it do nothing. O(1). */
  released(connection: Connection): void {
    if (!this.#open.delete(connection)) return
    this.#counters.add('downstreamConnectionsOpen', -1)
    const ip = connection.digest.peerIp
    const count = this.#openPerClient.get(ip)
    if (count === undefined) return
    // Addresses come from clients: one that went away must leave the map.
    if (count > 1) this.#openPerClient.set(ip, count - 1)
    else this.#openPerClient.delete(ip)
  }

  /** Stops accepting; connections that are open go on. Resolves when the socket is closed. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#listener?.close()
  }

  /** Where it listens, with the real port once it does. */
  get address(): SocketAddress {
    return this.#listener?.address ?? this.#options.address
  }

  /** The connections that are open now, to be ended one by one at a stop. */
  get connections(): ReadonlySet<Connection> {
    return this.#open
  }

  /** Client IPs that are counted now. */
  get clients(): number {
    return this.#openPerClient.size
  }

  #accept(connection: Connection, onConnection: (connection: Connection) => void): void {
    const ip = connection.digest.peerIp
    const limit = this.#limitReached(ip)
    if (limit !== '') {
      this.#refuse(connection, limit)
      return
    }
    this.#open.add(connection)
    if (this.#maxPerClient > 0 && ip !== '') {
      this.#openPerClient.set(ip, (this.#openPerClient.get(ip) ?? 0) + 1)
    }
    this.#counters.add('downstreamConnectionsAccepted')
    this.#counters.add('downstreamConnectionsOpen')
    try {
      onConnection(connection)
    } catch (error) {
      this.released(connection)
      throw error
    }
  }

  /** The name of the limit that a further connection from `ip` would break; empty for none. */
  #limitReached(ip: string): string {
    if (this.#maxConnections > 0 && this.#open.size >= this.#maxConnections) return 'per_listener'
    if (this.#maxPerClient === 0 || ip === '') return ''
    return (this.#openPerClient.get(ip) ?? 0) >= this.#maxPerClient ? 'per_client' : ''
  }

  #refuse(connection: Connection, limit: string): void {
    connection.destroy()
    this.#counters.add('downstreamConnectionsLimited')
    this.#refusedUnlogged++
    const nowMs = this.#env.clock.nowMs()
    // A flood of connections must not become a flood of log lines.
    if (nowMs < this.#nextLogMs) return
    this.#nextLogMs = nowMs + LOG_EVERY_MS
    this.#logger.warn('connection limit reached', {
      listener: formatAddress(this.address),
      client: connection.digest.peerIp,
      limit,
      refused: this.#refusedUnlogged,
    })
    this.#refusedUnlogged = 0
  }
}

const DEFAULT_MAX_CONNECTIONS = 10_000
const LOG_EVERY_MS = 1_000
