/** `Environment`: time, network, chance and shared memory, all that is not pure, in one place. */
import type { SharedRegistry } from '../shared-memory/internal.js'
import type { Clock, DeadlineWheel } from '../time/index.js'
import type { HostAddress, SocketAddress } from './address.js'
import type { Connection } from './connection.js'
import type { DescriptorNetwork } from './descriptor-network.js'
import type { ListenOptions } from './listen-options.js'
import type { ListeningSockets } from './listening-sockets.js'
import type { PeerSocketOptions } from './socket-options.js'
import type { TlsClientOptions } from './tls-client-options.js'
import type { TlsServerOptions } from './tls-server-options.js'

/** How to dial. */
export interface DialOptions {
  /** Local IP address to connect from, of the same family. Default: the kernel's choice. */
  readonly localAddress?: string
  /** First and last local port to connect from, Linux 6.3 and newer. Default: those of the system. */
  readonly localPorts?: readonly [low: number, high: number]
  /** Options of the socket. Default: those of the system. */
  readonly socket?: PeerSocketOptions
  /** Set when TLS follows on this connection. Default: false. */
  readonly forTls?: boolean
  /** Gives the attempt up; the promise rejects and nothing stays open. */
  readonly signal?: AbortSignal
}

/** A socket that accepts connections. */
export interface Listener {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: SocketAddress
  /** Stops accepting; connections that stand go on. Resolves when the socket is closed. */
  close(): Promise<void>
}

/** Opens and accepts connections and resolves names. */
export interface Network {
  /**
   * Opens a connection. It is paused until its handler is set and `resume` called.
   * @throws {@link ProxyError} (rejects) `PGR_CONNECT_REFUSED`, `PGR_CONNECT_NO_ROUTE`,
   * `PGR_CONNECT_FAILED`, `PGR_BIND_FAILED`; `PGR_NOT_AVAILABLE` for options that this machine does
   * not have, `PGR_OPTION_INVALID` for those that are out of range; the signal's reason when that
   * ended it.
   */
  dial(address: SocketAddress, options: DialOptions): Promise<Connection>
  /**
   * Starts TLS as a client on a connection made by `dial` with `forTls`; the connection given is
   * used up. @throws {@link ProxyError} (rejects) `PGR_TLS_HANDSHAKE_FAILED`, `PGR_CERTIFICATE_INVALID`.
   */
  startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection>
  /**
   * Starts TLS as a server on a connection that was accepted with `forTls`; the connection given is
   * used up. When it fails nothing stays open.
   * @param prefix bytes that were read of the connection already, and are the client's first.
   * @throws {@link ProxyError} (rejects) `PGR_CLIENT_TLS_FAILED`, `PGR_CLIENT_CERTIFICATE_INVALID`;
   * `PGR_OPTION_INVALID` for certificates that are none, `PGR_HOOK_FAILED` when `certificateFor`
   * throws; the signal's reason when that ended it.
   */
  startServerTls(
    connection: Connection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection>
  /**
   * Listens. `onConnection` gets each connection paused: set its handler, then `resume`.
   * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
   */
  listen(
    address: SocketAddress,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener>
  /** Told of what the owner or the handler of a connection threw; the connection is destroyed by then. */
  onUncaught?: (thrown: unknown) => void
  /** Accepting in one thread and serving in others; `null` where that cannot be. */
  readonly descriptors?: DescriptorNetwork | null
  /** What is listened on, as descriptors that can go to another process; `null` where they cannot. */
  readonly listeningSockets?: ListeningSockets | null
  /** All addresses of a name; an IP address or unix path is returned as it is. @throws `PGR_RESOLVE_FAILED`. */
  resolve(address: HostAddress): Promise<SocketAddress[]>
}

/** A source of chance that tests can seed. */
export interface Random {
  /** A number from 0 up to, not including, 1. */
  next(): number
}

/** Everything that is not pure, handed to each constructor that needs it. */
export interface Environment {
  /** Tells the time and sets timers. */
  readonly clock: Clock
  /** The thread's time-outs, driven by `clock`. */
  readonly deadlines: DeadlineWheel
  /** Opens and accepts connections, looks names up. */
  readonly network: Network
  /** Chance. */
  readonly random: Random
  /** What threads share goes through it. */
  readonly sharedMemory: SharedRegistry
}
