/** `MemoryDial`: one attempt to connect over the memory network. */
import type { Timer } from '../../time/index.js'
import type { MemoryConnection } from './memory-connection.js'
import type { MemoryRoute } from './memory-route.js'
import type { MemoryWire } from './memory-wire.js'

/** What an attempt leads to. */
export interface MemoryDialParts {
  readonly route: MemoryRoute
  readonly signal: AbortSignal | undefined
  /** Called when the attempt arrives: the wire to who listens, or `null` when nobody does. */
  readonly accept: () => MemoryWire | null
  /** Called when the answer is back. */
  readonly connect: (wire: MemoryWire) => MemoryConnection
  /** The error when nobody listens. */
  readonly refused: () => Error
}

/** Takes the link's latency there and back; waits for as long as the route is silent. */
export class MemoryDial {
  /** The connection; rejects when it is refused, or with the signal's reason. */
  readonly result: Promise<MemoryConnection>
  readonly #parts: MemoryDialParts
  readonly #latencyMs: number
  #resolve!: (connection: MemoryConnection) => void
  #reject!: (error: Error) => void
  #timer: Timer
  #wire: MemoryWire | null = null

  constructor(parts: MemoryDialParts) {
    const { route, signal } = parts
    this.#parts = parts
    this.#latencyMs = route.link.latencyMs
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#timer = route.world.clock.schedule(this.#latencyMs, this.#arrive)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #arrive = (): void => {
    const { route, accept } = this.#parts
    if (route.isSilent) {
      route.hold(this.#arrive)
      return
    }
    this.#wire = accept()
    this.#timer = route.world.clock.schedule(this.#latencyMs, this.#answer)
  }

  readonly #answer = (): void => {
    const { route, signal, connect, refused } = this.#parts
    if (route.isPartitioned) {
      route.hold(this.#answer)
      return
    }
    signal?.removeEventListener('abort', this.#onAbort)
    if (this.#wire === null) this.#reject(refused())
    else this.#resolve(connect(this.#wire))
  }

  readonly #onAbort = (): void => {
    const { route, signal } = this.#parts
    this.#timer.cancel()
    route.release(this.#arrive)
    route.release(this.#answer)
    // Who listens has a connection already, to nobody.
    this.#wire?.abandon('dialler')
    this.#reject(signal?.reason as Error)
  }
}
