/** `Adoption`: a worker's listeners, whose connections the main thread has accepted. */
import type {
  Connection,
  DescriptorNetwork,
  ListenOptions,
  Listener,
  SocketAddress,
} from '../../transport/index.js'
import type { ToWorker } from './worker-messages.js'

type Deal = Extract<ToWorker, { kind: 'deal' }>

/** One per thread: takes connections over, each for the listener that it was accepted on. */
export class Adoption {
  readonly #descriptors: DescriptorNetwork
  readonly #adopted: Int32Array
  readonly #listeners = new Map<string, AdoptingListener>()

  /** @param adopted counts what was taken over, in memory that the main thread reads. */
  constructor(descriptors: DescriptorNetwork, adopted: SharedArrayBuffer) {
    this.#descriptors = descriptors
    this.#adopted = new Int32Array(adopted)
  }

  /** The listeners that there are. */
  get keys(): readonly string[] {
    return [...this.#listeners.keys()]
  }

  /** Has connections of the listener `key` given to `onConnection`. */
  listen(
    key: string,
    address: SocketAddress,
    { forTls = false }: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    this.#listeners.set(key, { forTls, onConnection })
    // What was dealt before a stop still comes, and is served; closing is the main thread's.
    return Promise.resolve({ address, close: () => Promise.resolve() })
  }

  /** Takes one connection over; it stays the main thread's until this has counted it. */
  adopt({ key, bound, fd }: Deal): void {
    const listener = this.#listeners.get(key)
    if (listener === undefined) {
      this.#count()
      this.#descriptors.discard(fd)
      return
    }
    const { forTls, onConnection } = listener
    const onAdopted = (connection: Connection): void => {
      this.#count()
      onConnection(connection)
    }
    this.#descriptors.adopt(fd, bound, onAdopted, forTls)
  }

  #count(): void {
    Atomics.add(this.#adopted, 0, 1)
  }
}

interface AdoptingListener {
  readonly forTls: boolean
  readonly onConnection: (connection: Connection) => void
}
