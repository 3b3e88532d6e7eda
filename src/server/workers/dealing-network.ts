/** `DealingNetwork`: the main thread's listeners, whose connections the workers serve. */
import type {
  Connection,
  DialOptions,
  HostAddress,
  ListenOptions,
  Listener,
  Network,
  SocketAddress,
  TlsClientOptions,
} from '../../transport/index.js'
import type { WorkerPool } from './worker-pool.js'
import { listenerKey } from './worker-messages.js'

/** One per service. What it listens on it opens, accepts and deals; all else is the true network's. */
export class DealingNetwork implements Network {
  readonly #network: Network
  readonly #pool: WorkerPool
  readonly #service: number
  readonly #name: string
  #listeners = 0

  constructor(network: Network, pool: WorkerPool, service: number, name: string) {
    this.#network = network
    this.#pool = pool
    this.#service = service
    this.#name = name
  }

  listen(address: SocketAddress, options: ListenOptions): Promise<Listener> {
    const key = listenerKey(this.#service, this.#name, this.#listeners++)
    return this.#pool.listen(key, address, options)
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

  resolve(address: HostAddress): Promise<SocketAddress[]> {
    return this.#network.resolve(address)
  }
}
