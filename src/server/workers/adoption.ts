/** `Adoption`: a worker's listeners, whose connections or sockets come from the main thread. */
import type {
  Connection,
  DescriptorNetwork,
  ListenOptions,
  Listener,
  SocketAddress,
} from '../../transport/index.js'
import type { Deal, Lease } from './worker-messages.js'

/** A listener of this thread. */
interface OwnListener {
  readonly options: ListenOptions
  readonly onConnection: (connection: Connection) => void
  /** The sockets that this thread accepts on by itself. */
  readonly accepting: Promise<Pick<Listener, 'close'>>[]
  /** Where it listens: as it was asked to, until the first thing that comes tells the port. */
  address: SocketAddress
}

/** One per thread: takes over what comes, each for the listener that it belongs to. */
export class Adoption {
  readonly #descriptors: DescriptorNetwork
  readonly #adopted: Int32Array
  readonly #listeners = new Map<string, OwnListener>()

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
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const accepting: OwnListener['accepting'] = []
    const own: OwnListener = { options, onConnection, accepting, address }
    this.#listeners.set(key, own)
    // What was dealt before a stop still comes, and is served; closing the socket is the main thread's.
    const close = async (): Promise<void> => {
      const all = await Promise.all(accepting.splice(0))
      await Promise.all(all.map((each) => each.close()))
    }
    return Promise.resolve({
      get address() {
        return own.address
      },
      close,
    })
  }

  /** Takes a descriptor over; it stays the main thread's until this has counted it. */
  adopt(message: Deal | Lease): void {
    const { key, bound, fd } = message
    const listener = this.#listeners.get(key)
    if (listener === undefined) {
      this.#count()
      this.#descriptors.discard(fd)
      return
    }
    listener.address = bound
    const { options, onConnection, accepting } = listener
    if (message.kind === 'deal') {
      const onAdopted = (connection: Connection): void => {
        this.#count()
        onConnection(connection)
      }
      this.#descriptors.adopt(fd, bound, onAdopted, options.forTls)
    } else {
      const adopt = (accepted: number): void => {
        this.#descriptors.adopt(accepted, bound, onConnection, options.forTls)
      }
      accepting.push(this.#descriptors.accept(message, options, adopt))
      this.#count()
    }
  }

  #count(): void {
    Atomics.add(this.#adopted, 0, 1)
  }
}
