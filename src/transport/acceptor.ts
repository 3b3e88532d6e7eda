/** `Acceptor`: one listener: who may connect, how many may, and who they are. */
import { IpSet, Link, LinkedSet } from '../collections/index.js'
import { describeThrown, intInRange } from '../error/index.js'
import type { ErrorCode, ProxyError } from '../error/index.js'
import { Counters, RefusalLog, SILENT_LOGGER } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import { Admission } from './admission.js'
import type { AdmissionOwner, AdmissionRules } from './admission.js'
import { AddressFilter } from './connection-filter.js'
import type { AddressFilterOptions, ConnectionFilter } from './connection-filter.js'
import type { Connection } from './connection.js'
import type { Environment, Listener } from './environment.js'
import type { ListenOptions } from './listen-options.js'
import { REAL_ENVIRONMENT } from './real-environment.js'

/** What a listener asks of PROXY headers. */
export interface ProxyProtocolOptions {
  /**
   * Addresses, networks such as `10.0.0.0/8`, and `unix:`, that may connect; whoever else does is not
   * listened to. Default: everybody, because something else keeps others away.
   */
  readonly trusted?: readonly string[]
}

/** Who may connect to a listener, and how it gets to know who they are. */
export interface AdmissionOptions extends AddressFilterOptions {
  /**
   * Each connection begins with a PROXY header, version 1 or 2, which tells the client's address; a
   * connection without one is closed. Default: false.
   */
  readonly proxyProtocol?: boolean | ProxyProtocolOptions
  /** Asked about each connection that `allow` and `deny` let pass. Default: none. */
  readonly connectionFilter?: ConnectionFilter
}

/** What an {@link Acceptor} is made from. */
export interface AcceptorOptions extends ListenOptions, AdmissionOptions {
  /** Where to listen. */
  readonly address: SocketAddress
  /** Connections that may be open at once; 0: no limit. Default: 10000. */
  readonly maxConnections?: number
  /** Connections that one client IP may have open at once; 0: no limit. Default: 0. */
  readonly maxConnectionsPerClient?: number
  /** Time for a PROXY header and a filter, in ms, from 1. Default: 60000. */
  readonly admissionTimeoutMs?: number
  /** Time, network and chance. Default: the real ones. */
  readonly env?: Environment
  /** Counts what is accepted, open and refused. Default: its own. */
  readonly counters?: Counters
  /** Told when a connection is refused, at most once per second and kind. Default: silent. */
  readonly logger?: Logger
}

/**
 * Who gets a connection, paused. @param prefix bytes that were read before, behind a PROXY header;
 * they are now the owner's. `null`: none.
 */
export type OnConnection = (connection: Connection, prefix: Buffer | null) => void

/**
 * Accepts connections and counts them, per client IP too. Clients over a unix socket have no IP
 * and are only counted together. Memory is O(open connections); idle clients are forgotten.
 */
export class Acceptor implements AdmissionOwner {
  readonly #env: Environment
  readonly #options: AcceptorOptions
  readonly #maxConnections: number
  readonly #maxPerClient: number
  readonly #counters: Counters
  readonly #logger: Logger
  readonly #limitLog: RefusalLog
  readonly #refusalLog: RefusalLog
  readonly #trusted: IpSet | null
  /** `null`: a connection is taken as it is. */
  readonly #rules: AdmissionRules | null
  readonly #open = new LinkedSet<Connection>()
  readonly #openPerClient = new Map<string, number>()
  /** Connections that are not let in yet; they count against the listener's limit. */
  readonly #waiting = new LinkedSet<Admission>()
  #onConnection: OnConnection = unwanted
  #onNoneWaiting: (() => void) | null = null
  #listener: Listener | null = null
  #closed = false

  /**
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when a limit is negative or no integer, or a list
   * has an entry that is no address or network.
   */
  constructor(options: AcceptorOptions) {
    const { maxConnections = DEFAULT_MAX_CONNECTIONS, maxConnectionsPerClient = 0 } = options
    const highest = Number.MAX_SAFE_INTEGER
    this.#maxConnections = intInRange('maxConnections', maxConnections, 0, highest)
    this.#maxPerClient = intInRange('maxConnectionsPerClient', maxConnectionsPerClient, 0, highest)
    this.#options = options
    this.#env = options.env ?? REAL_ENVIRONMENT
    this.#counters = options.counters ?? new Counters()
    this.#logger = options.logger ?? SILENT_LOGGER
    const { clock } = this.#env
    this.#limitLog = new RefusalLog(this.#logger, () => clock.nowMs())
    this.#refusalLog = new RefusalLog(this.#logger, () => clock.nowMs())
    this.#trusted = trustedSources(options)
    this.#rules = admissionRules(options, this.#env)
  }

  /**
   * Starts to listen. `onConnection` calls {@link released} from its handler's `onClose`.
   * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
   */
  async listen(onConnection: OnConnection): Promise<void> {
    this.#onConnection = onConnection
    const { address, backlog, unixMode, forTls, socket } = this.#options
    const options: ListenOptions = {
      ...(backlog !== undefined && { backlog }),
      ...(unixMode !== undefined && { unixMode }),
      ...(forTls !== undefined && { forTls }),
      ...(socket !== undefined && { socket }),
      onAcceptError: (error) => {
        const listener = formatAddress(this.address)
        this.#logger.error('accepting failed, trying again each second', {
          listener,
          reason: error.message,
        })
      },
    }
    const listener = await this.#env.network.listen(address, options, (connection) => {
      this.#accept(connection)
    })
    this.#listener = listener
    if (this.#closed) await listener.close()
  }

  /** To be called when a connection that was given away is closed; later calls for it do nothing. O(1). */
  released(connection: Connection): void {
    if (!removeFrom(this.#open, connection)) return
    this.#counters.add('downstreamConnectionsOpen', -1)
    const ip = connection.digest.peerIp
    const count = this.#openPerClient.get(ip)
    if (count === undefined) return
    // Addresses come from clients: one that went away must leave the map.
    if (count > 1) this.#openPerClient.set(ip, count - 1)
    else this.#openPerClient.delete(ip)
  }

  /**
   * Stops accepting; connections that were given away go on. Those whose PROXY header is awaited are
   * closed. Resolves when the socket is closed and none of these is left.
   * @param keepsWaiting whether these are awaited instead: a client may have sent its request
   * already. Default: false.
   */
  async close(keepsWaiting: boolean = false): Promise<void> {
    this.#closed = true
    if (!keepsWaiting) for (const admission of this.#waiting) admission.destroy()
    await this.#listener?.close()
    if (this.#waiting.size === 0) return
    await new Promise<void>((resolve) => {
      this.#onNoneWaiting = resolve
    })
  }

  /** Where it listens, with the real port once it does. */
  get address(): SocketAddress {
    return this.#listener?.address ?? this.#options.address
  }

  /** The connections that are open now, to be ended one by one at a stop. */
  get connections(): Iterable<Connection> & { readonly size: number } {
    return this.#open
  }

  /** Client IPs that are counted now. */
  get clients(): number {
    return this.#openPerClient.size
  }

  // AdmissionOwner

  admitted(admission: Admission, prefix: Buffer | null): void {
    const { connection } = admission
    removeFrom(this.#waiting, connection)
    try {
      this.#admit(connection, prefix)
    } catch (thrown) {
      connection.destroy()
      const reason = describeThrown(thrown)
      this.#logger.error('serving a connection failed', { ...this.#place(connection), reason })
    }
    this.#tellNoneWaiting()
  }

  dismissed(admission: Admission, why: ProxyError | 'denied' | 'left'): void {
    const { connection } = admission
    removeFrom(this.#waiting, connection)
    if (why === 'denied') this.#refuse(connection, 'denied by the filter')
    else if (why !== 'left') this.#refuse(connection, why.message, why.code)
    this.#tellNoneWaiting()
  }

  /** A new connection. In the order of what it costs: the number, the sender, the header and filters. */
  #accept(connection: Connection): void {
    const open = this.#open.size + this.#waiting.size
    if (this.#maxConnections > 0 && open >= this.#maxConnections) {
      this.#limit(connection, 'per_listener')
    } else if (this.#rules === null) {
      this.#admit(connection, null)
    } else if (this.#trusted?.includes(connection.digest.peerIp) === false) {
      this.#refuse(connection, 'not a trusted sender of PROXY headers')
    } else {
      const admission = new Admission(connection, this.#rules, this)
      connection.ownerEntry = this.#waiting.add(admission)
      admission.start()
    }
  }

  #admit(connection: Connection, prefix: Buffer | null): void {
    const ip = connection.digest.peerIp
    const count = this.#maxPerClient > 0 && ip !== '' ? (this.#openPerClient.get(ip) ?? 0) : -1
    if (count >= this.#maxPerClient) {
      this.#limit(connection, 'per_client')
      return
    }
    connection.ownerEntry = this.#open.add(connection)
    if (count >= 0) this.#openPerClient.set(ip, count + 1)
    this.#counters.add('downstreamConnectionsAccepted')
    this.#counters.add('downstreamConnectionsOpen')
    try {
      this.#onConnection(connection, prefix)
    } catch (error) {
      this.released(connection)
      throw error
    }
  }

  #limit(connection: Connection, limit: string): void {
    connection.destroy()
    this.#counters.add('downstreamConnectionsLimited')
    this.#limitLog.add('warn', 'connection limit reached', { ...this.#place(connection), limit })
  }

  #refuse(connection: Connection, reason: string, code?: ErrorCode): void {
    connection.destroy()
    this.#counters.add('downstreamConnectionsRefused')
    if (code !== undefined) this.#counters.addError(code)
    const fields = { ...this.#place(connection), ...(code && { code }), reason }
    this.#refusalLog.add('warn', 'connection refused', fields)
  }

  #place(connection: Connection): { readonly listener: string; readonly client: string } {
    const { peerIp, peerAddress } = connection.digest
    return { listener: formatAddress(this.address), client: peerIp === '' ? peerAddress : peerIp }
  }

  #tellNoneWaiting(): void {
    if (this.#waiting.size === 0) this.#onNoneWaiting?.()
  }
}

/** Its entry is of the one set that the connection is in. */
function removeFrom<T>(set: LinkedSet<T>, { ownerEntry }: Connection): boolean {
  return ownerEntry instanceof Link && set.remove(ownerEntry as Link<T>)
}

function trustedSources({ proxyProtocol }: AdmissionOptions): IpSet | null {
  const trusted = typeof proxyProtocol === 'object' ? proxyProtocol.trusted : undefined
  return trusted === undefined ? null : new IpSet(trusted)
}

function admissionRules(options: AcceptorOptions, env: Environment): AdmissionRules | null {
  const { allow, deny, connectionFilter, proxyProtocol = false } = options
  const { admissionTimeoutMs = DEFAULT_ADMISSION_TIMEOUT_MS } = options
  const wantsHeader = proxyProtocol !== false
  const filters: ConnectionFilter[] = []
  if (allow !== undefined || deny !== undefined)
    filters.push(new AddressFilter({ ...(allow && { allow }), ...(deny && { deny }) }))
  if (connectionFilter !== undefined) filters.push(connectionFilter)
  const timeoutMs = intInRange('admissionTimeoutMs', admissionTimeoutMs, 1, MAX_TIMEOUT_MS)
  if (!wantsHeader && filters.length === 0) return null
  return { wantsHeader, filters, timeoutMs, deadlines: env.deadlines }
}

function unwanted(connection: Connection): void {
  connection.destroy()
}

const DEFAULT_MAX_CONNECTIONS = 10_000
const DEFAULT_ADMISSION_TIMEOUT_MS = 60_000
const MAX_TIMEOUT_MS = 2 ** 31 - 1
