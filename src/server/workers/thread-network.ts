/** `ThreadNetwork`: the network of a service whose connections are accepted in one thread and served in others. */
import type {
  Connection,
  DialOptions,
  HostAddress,
  ListenOptions,
  Listener,
  Network,
  SocketAddress,
  TlsClientOptions,
  TlsServerOptions,
} from '../../transport/index.js'
import { listenerKey } from './worker-messages.js'

/** Opens the part of a listener that this thread has; `key` names it in all threads. */
export type ListenInThread = (
  key: string,
  address: SocketAddress,
  options: ListenOptions,
  onConnection: (connection: Connection) => void,
) => Promise<Listener>

/** One per service, in the main thread and in each worker. Listening differs; all else is the true network's. */
export class ThreadNetwork implements Network {
  readonly #network: Network
  readonly #service: number
  readonly #name: string
  readonly #listen: ListenInThread
  #listeners = 0

  /** @param service place of the service among those of the server. @param name of the service. */
  constructor(network: Network, service: number, name: string, listen: ListenInThread) {
    this.#network = network
    this.#service = service
    this.#name = name
    this.#listen = listen
  }

  listen(
    address: SocketAddress,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const key = listenerKey(this.#service, this.#name, this.#listeners++)
    return this.#listen(key, address, options, onConnection)
  }

  dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    return this.#network.dial(address, options)
  }

  startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    return this.#network.startTls(connection, options, signal)
  }

  startServerTls(
    connection: Connection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection> {
    return this.#network.startServerTls(connection, options, signal, prefix)
  }

  resolve(address: HostAddress): Promise<SocketAddress[]> {
    return this.#network.resolve(address)
  }
}
