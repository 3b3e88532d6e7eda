/** `LoadBalancer`: picks a backend for each request and keeps the backends up to date and checked. */
import { ProxyError, describeThrown, intInRange } from '../error/index.js'
import type { Logger } from '../observability/index.js'
import { REAL_ENVIRONMENT } from '../transport/index.js'
import type { Environment } from '../transport/index.js'
import type { Backend, BackendLike } from './backend.js'
import type { BackendSet } from './backend-set.js'
import { Backends } from './backends.js'
import type { RunOptions } from './backends.js'
import { StaticDiscovery } from './discovery/static-discovery.js'
import type { HealthCheck } from './health-check/health-check.js'
import { repeat } from './repeat.js'
import { resolveSelection } from './selection/built-in.js'
import type { SelectionName } from './selection/built-in.js'
import { Position } from './selection/position.js'
import type { BackendSelection, BackendSelector, SelectionKey } from './selection/selection.js'

/** What a balancer is made with. */
export interface LoadBalancerOptions {
  /** Clock, network, chance, shared memory. Default: that of the backends, else the real one. */
  readonly env?: Environment
  /** Told of changes of health and of failed updates. Default: the server's, once it is started. */
  readonly logger?: Logger
  /** The algorithm. Default: `round_robin`. */
  readonly selection?: SelectionName | BackendSelection
  /**
   * What logs call it. With several threads also what makes it the same balancer in each of them;
   * without a name the order of construction does. Default: `upstreams`, for logs only.
   */
  readonly name?: string
}

/** What `start` is given by the server that runs the balancer as a background service. */
export interface LoadBalancerContext {
  /** Aborts when the server stops. */
  readonly signal: AbortSignal
  /** Told of changes of health and of failed updates, unless the balancer has its own logger. */
  readonly logger: Logger
  /** To be called once the backends have been checked for the first time. */
  readonly ready: () => void
}

/**
 * Picks backends. Made by {@link LoadBalancer.tryFromIter} for a fixed list, or by
 * {@link LoadBalancer.fromBackends} for any discovery. Health checks and updates run while `start`
 * does: give the balancer to `backgroundService`.
 */
export class LoadBalancer {
  /** What logs call it. */
  readonly name: string
  /** The backends, with their health. */
  readonly backends: Backends
  /**
   * Check up to 64 backends at once, not one after the other, where each backend that does not
   * answer delays the rest by its time-out. Default: false.
   */
  parallelHealthCheck = false
  #healthCheckFrequencyMs: number | undefined
  #updateFrequencyMs: number | undefined
  readonly #env: Environment
  readonly #logger: Logger | undefined
  readonly #selection: BackendSelection
  readonly #position: Position
  #set: BackendSet
  #selector: BackendSelector

  private constructor(backends: Backends, options: LoadBalancerOptions) {
    this.name = options.name ?? 'upstreams'
    this.backends = backends
    this.#env = options.env ?? backends.env
    this.#logger = options.logger
    this.#position = new Position(this.#env.sharedMemory, options.name)
    this.#selection = resolveSelection(options.selection ?? 'round_robin')
    this.#set = backends.set
    this.#selector = this.#build(backends.set)
  }

  /**
   * A balancer over a list of addresses: `1.2.3.4:443`, `[::1]:80`, `unix:/path`, or `name:port`,
   * which becomes one backend for each address that the name has (looked up now, and again at every
   * update). Objects with an `address` may carry a weight. All are in use when it resolves.
   * @throws {@link ProxyError} (rejects) `PGR_ADDRESS_INVALID` or `PGR_RESOLVE_FAILED` with the
   * address; `PGR_OPTION_INVALID` for a bad weight, and for an empty list: a balancer that can never
   * pick anything is a mistake. Backends that come and go are for {@link LoadBalancer.fromBackends}.
   */
  static async tryFromIter(
    addresses: Iterable<string | BackendLike>,
    options: LoadBalancerOptions = {},
  ): Promise<LoadBalancer> {
    const env = options.env ?? REAL_ENVIRONMENT
    const list = [...addresses]
    if (list.length === 0) {
      throw new ProxyError('PGR_OPTION_INVALID', 'addresses: at least one is needed')
    }
    const discovery = new StaticDiscovery(list, { env })
    const balancer = new LoadBalancer(new Backends(discovery, { env, name: options.name }), options)
    await balancer.update()
    return balancer
  }

  /** A balancer over backends with any discovery. Empty until the first update, as they are. */
  static fromBackends(backends: Backends, options: LoadBalancerOptions = {}): LoadBalancer {
    return new LoadBalancer(backends, options)
  }

  /**
   * The ready backend whose turn it is, or `undefined` when none is ready: answer 503 then.
   * Waits for nothing and allocates nothing. O(1) for the selections that come with the project.
   * @param key what selections that hash go by; round robin and random ignore it.
   * @param maxIterations how many backends are looked at, at most; a round robin or random choice
   * is always found at the first.
   */
  select(key: SelectionKey, maxIterations: number): Backend | undefined {
    if (maxIterations < 1) return undefined
    for (;;) {
      const set = this.#latestSet()
      const index = this.#selector.next(key)
      if (index >= 0) return set.backends[index]
      if (!this.#isOutdated(set)) return undefined
    }
  }

  /**
   * The first backend that `accept` takes. Each is offered at most once, the ready ones first, in
   * the order of the selection: a backend that is not ready is taken only if `accept` says so and
   * takes no ready one. Refused turns are used up, so those accepted keep their exact shares.
   *
   * A retry uses it to leave out backends that already failed this request, while there is another:
   * `selectWith(key, 256, (backend, healthy) => healthy && !failed.has(backend))`.
   * @param maxIterations how many backends are offered, at most.
   * @param accept called with a backend and whether it is ready; what it throws goes to the caller.
   */
  selectWith(
    key: SelectionKey,
    maxIterations: number,
    accept: (backend: Backend, healthy: boolean) => boolean,
  ): Backend | undefined {
    for (;;) {
      const set = this.#latestSet()
      const { backends, health } = set
      const index = this.#selector.search(key, maxIterations, (candidate) =>
        accept(backends[candidate]!, health.isReady(candidate)),
      )
      if (index >= 0) return backends[index]
      if (!this.#isOutdated(set)) return undefined
    }
  }

  /** How backends are checked from the next round on. Without a check all count as healthy. */
  setHealthCheck(check: HealthCheck): void {
    this.backends.setHealthCheck(check)
  }

  /**
   * Time from the start of one round of checks to the start of the next, in ms; a round that takes
   * longer is followed by the next at once. `undefined`: one round, at the start. Default: undefined.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` unless an integer from 1 to 2^31 - 1.
   */
  get healthCheckFrequencyMs(): number | undefined {
    return this.#healthCheckFrequencyMs
  }

  set healthCheckFrequencyMs(value: number | undefined) {
    this.#healthCheckFrequencyMs = frequency('healthCheckFrequencyMs', value)
  }

  /**
   * The same for updates from the discovery. Default: undefined.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` unless an integer from 1 to 2^31 - 1.
   */
  get updateFrequencyMs(): number | undefined {
    return this.#updateFrequencyMs
  }

  set updateFrequencyMs(value: number | undefined) {
    this.#updateFrequencyMs = frequency('updateFrequencyMs', value)
  }

  /**
   * Takes over what the discovery finds now. Resolves when the new backends are in use.
   * @throws {@link ProxyError} (rejects) as {@link Backends.update}; the backends stay as they were.
   */
  async update(options: RunOptions = {}): Promise<void> {
    // Adopted right before the swap: a selection that refuses the new set leaves the old one in use.
    await this.backends.update((next) => {
      this.#adopt(next)
    }, options)
  }

  /** Checks every backend once, as `parallelHealthCheck` says. Rejects never. */
  runHealthCheck(options: RunOptions = {}): Promise<void> {
    const logger = options.logger ?? this.#logger
    return this.backends.runHealthCheck(this.parallelHealthCheck, {
      ...options,
      ...(logger && { logger }),
    })
  }

  /**
   * Updates and checks at once, calls `ready`, then does both at their frequencies. A failed update
   * is logged, and the backends stay. Resolves soon after the signal aborts, or when neither
   * frequency is set; leaves no timer behind. In a worker of several threads there is nothing to do:
   * the main thread updates and checks for all. Meant for the server; do not call it twice.
   */
  async start(context: LoadBalancerContext): Promise<void> {
    if (this.backends.areOfMainThread) {
      context.ready()
      return
    }
    const { signal } = context
    const clock = this.#env.clock
    const run: Required<RunOptions> = { signal, logger: this.#logger ?? context.logger }
    const lastStartMs = clock.nowMs()
    await this.#updateOrLog(run)
    await this.runHealthCheck(run)
    if (signal.aborted) return
    context.ready()
    // Two loops: a discovery that hangs must not keep a dead backend in use, nor checks hold it up.
    await Promise.all([
      repeat({ clock, signal, lastStartMs, intervalMs: () => this.#updateFrequencyMs }, () =>
        this.#updateOrLog(run),
      ),
      repeat({ clock, signal, lastStartMs, intervalMs: () => this.#healthCheckFrequencyMs }, () =>
        this.runHealthCheck(run),
      ),
    ])
  }

  async #updateOrLog(run: Required<RunOptions>): Promise<void> {
    try {
      await this.update(run)
    } catch (error) {
      if (run.signal.aborted) return
      const code = error instanceof ProxyError ? error.code : undefined
      const text = `${this.name}: update failed, the backends stay: ${describeThrown(error)}`
      run.logger.error(text, { name: this.name, code })
    }
  }

  #latestSet(): BackendSet {
    const { set } = this.backends
    if (set !== this.#set) this.#adopt(set)
    return set
  }

  /**
   * Whether the main thread has replaced the set during a pick. Of a set that was replaced more than
   * once no backend may be left that is ready: so who finds none must look at the latest.
   */
  #isOutdated(set: BackendSet): boolean {
    return this.backends.set !== set
  }

  // Called from picks too, because whoever made the backends may update them past this balancer.
  #adopt(set: BackendSet): void {
    this.#selector = this.#build(set)
    this.#set = set
  }

  #build({ backends, health }: BackendSet): BackendSelector {
    const { random } = this.#env
    return this.#selection.build({ backends, readiness: health, position: this.#position, random })
  }
}

function frequency(name: string, value: number | undefined): number | undefined {
  return value === undefined ? undefined : intInRange(name, value, 1, 0x7fffffff)
}
