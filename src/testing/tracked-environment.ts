/** `TrackedEnvironment`: an environment that knows what was opened through it and not closed. */
import { SharedRegistry } from '../shared-memory/internal.js'
import { DeadlineWheel } from '../time/index.js'
import type { Clock, Deadline, ManualClock, Timer } from '../time/index.js'
import { formatAddress } from '../transport/index.js'
import type {
  Connection,
  DialOptions,
  Environment,
  HostAddress,
  ListenOptions,
  Listener,
  Network,
  Random,
  SocketAddress,
  TlsClientOptions,
  TlsServerOptions,
} from '../transport/index.js'

/** What the code under test gets, so that its connections and timers are told from the test's own. */
export class TrackedEnvironment implements Environment {
  readonly clock: TrackedClock
  readonly deadlines: TrackedDeadlines
  readonly network: TrackedNetwork
  readonly random: Random
  /** No other world's, and garbage with this one. */
  readonly sharedMemory: SharedRegistry = new SharedRegistry()

  constructor(clock: ManualClock, network: Network, random: Random) {
    this.clock = new TrackedClock(clock)
    // The wheel's own timer is not the caller's; what counts there is which deadlines are set.
    this.deadlines = new TrackedDeadlines(clock)
    this.network = new TrackedNetwork(network)
    this.random = random
  }

  /** What is still there, one line each. */
  leftovers(): string[] {
    return [
      ...this.network.leftovers(),
      ...this.clock.leftovers(),
      ...Array.from(this.deadlines.set, ({ atMs }) => `a time-out set for ${atMs} ms`),
    ]
  }
}

/** Counts the calls that were scheduled through it. */
class TrackedClock implements Clock {
  readonly #clock: Clock
  readonly #pending = new Set<{ readonly atMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  wallMs(): number {
    return this.#clock.wallMs()
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry = { atMs: this.#clock.nowMs() + Math.max(0, delayMs) }
    this.#pending.add(entry)
    const timer = this.#clock.schedule(delayMs, () => {
      this.#pending.delete(entry)
      callback()
    })
    return {
      cancel: () => {
        this.#pending.delete(entry)
        timer.cancel()
      },
    }
  }

  leftovers(): string[] {
    return Array.from(this.#pending, ({ atMs }) => `a timer due at ${atMs} ms`)
  }
}

/** A wheel that knows which of its deadlines are set. */
class TrackedDeadlines extends DeadlineWheel {
  readonly #seen = new LiveSet<Deadline>((deadline) => deadline.isSet)

  override setDeadline(deadline: Deadline, delayMs: number): void {
    this.#seen.add(deadline)
    super.setDeadline(deadline, delayMs)
  }

  override remove(deadline: Deadline): void {
    this.#seen.delete(deadline)
    super.remove(deadline)
  }

  /** Those that will fall due. */
  get set(): Iterable<Deadline> {
    return this.#seen.live()
  }
}

/** Passes everything on, and remembers connections, listeners and dials. */
class TrackedNetwork implements Network {
  readonly #network: Network
  readonly #connections = new LiveSet<Connection>((connection) => !connection.destroyed)
  readonly #listeners = new Set<Listener>()
  readonly #waits = new Set<{ readonly what: string }>()

  constructor(network: Network) {
    this.#network = network
  }

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    const dialled = this.#network.dial(address, options)
    return this.#opened(dialled, `a dial of ${formatAddress(address)}`)
  }

  async startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const secured = this.#network.startTls(connection, options, signal)
    return this.#opened(secured, `a TLS handshake with ${connection.digest.peerAddress}`)
  }

  async startServerTls(
    connection: Connection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection> {
    const secured = this.#network.startServerTls(connection, options, signal, prefix)
    return this.#opened(secured, `a TLS handshake with ${connection.digest.peerAddress}`)
  }

  async listen(
    address: SocketAddress,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const listener = await this.#network.listen(address, options, (connection) => {
      this.#connections.add(connection)
      onConnection(connection)
    })
    this.#listeners.add(listener)
    return {
      address: listener.address,
      close: () => {
        this.#listeners.delete(listener)
        return listener.close()
      },
    }
  }

  resolve(address: HostAddress): Promise<SocketAddress[]> {
    return this.#network.resolve(address)
  }

  leftovers(): string[] {
    return [
      ...Array.from(
        this.#connections.live(),
        ({ digest }) => `a connection from ${digest.localAddress} to ${digest.peerAddress}`,
      ),
      ...Array.from(this.#listeners, ({ address }) => `a listener on ${formatAddress(address)}`),
      ...Array.from(this.#waits, ({ what }) => what),
    ]
  }

  async #opened(opening: Promise<Connection>, what: string): Promise<Connection> {
    const wait = { what }
    this.#waits.add(wait)
    try {
      const connection = await opening
      this.#connections.add(connection)
      return connection
    } finally {
      this.#waits.delete(wait)
    }
  }
}

/** A set whose members die unseen; the dead are swept out before they are the majority. */
class LiveSet<T> {
  readonly #isLive: (member: T) => boolean
  readonly #members = new Set<T>()
  #sweepAtSize = MIN_SWEEP_SIZE

  constructor(isLive: (member: T) => boolean) {
    this.#isLive = isLive
  }

  add(member: T): void {
    this.#members.add(member)
    if (this.#members.size < this.#sweepAtSize) return
    // The newcomer may come to life only after this call.
    for (const old of this.#members) {
      if (old !== member && !this.#isLive(old)) this.#members.delete(old)
    }
    this.#sweepAtSize = Math.max(MIN_SWEEP_SIZE, 2 * this.#members.size)
  }

  delete(member: T): void {
    this.#members.delete(member)
  }

  live(): T[] {
    return [...this.#members].filter(this.#isLive)
  }
}

const MIN_SWEEP_SIZE = 64
