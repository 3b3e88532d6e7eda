/** `RingConnect`: one connect in progress. */
import type { SocketName } from '../../os/internal.js'
import type { Connection } from '../connection.js'
import type { RingLoop, RingUser } from './ring-loop.js'

/** What becomes of a descriptor. */
export interface ConnectParts {
  readonly fd: number
  readonly name: SocketName
  readonly signal: AbortSignal | undefined
  /** Makes the connection of the descriptor once it is connected; must not throw. */
  readonly connected: () => Connection
}

/** Connects a descriptor. It is closed when that fails or is given up. */
export class RingConnect implements RingUser {
  /** Resolves to the connection, or to a negative errno when the descriptor is closed. Never rejects. */
  readonly done: Promise<Connection | number>
  readonly #loop: RingLoop
  readonly #fd: number
  readonly #slot: number
  readonly #signal: AbortSignal | undefined
  /** The address, which the kernel reads when the operation starts. */
  readonly #address: ReturnType<RingLoop['sockets']['address']>
  readonly #connected: () => Connection
  #resolve!: (outcome: Connection | number) => void
  readonly #onAbort = (): void => {
    this.#loop.ring.cancel(this.#fd)
    this.#loop.wake()
  }

  constructor(loop: RingLoop, { fd, name, signal, connected }: ConnectParts) {
    this.#loop = loop
    this.#fd = fd
    this.#signal = signal
    this.#connected = connected
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#slot = loop.join(this, fd)
    this.#address = loop.sockets.address(name)
    if (typeof this.#address === 'number') {
      this.completed(0, this.#address)
      return
    }
    const { memory, length } = this.#address
    loop.ring.connect(this.#slot, 0, fd, memory.address, length)
    loop.wake()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  completed(_kind: number, result: number): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    // It may have succeeded in the moment in which it was given up.
    const status = this.#signal?.aborted === true ? Math.min(result, -1) : result
    // Only then this slot is given back: a thread that ends in between must have noted the descriptor.
    const outcome = status < 0 ? status : this.#connected()
    this.#loop.leave(this.#slot)
    if (status < 0) this.#loop.sockets.close(this.#fd)
    this.#resolve(outcome)
  }
}
