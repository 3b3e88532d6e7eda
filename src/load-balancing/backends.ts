/** `Backends`: the backends that a discovery found, their health, and whether they get traffic. */
import { ProxyError } from '../error/index.js'
import { SILENT_LOGGER } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import { REAL_ENVIRONMENT } from '../transport/index.js'
import type { Environment } from '../transport/index.js'
import type { Backend } from './backend.js'
import type { BackendSet } from './backend-set.js'
import { CurrentSet } from './current-set.js'
import type { Enablement } from './current-set.js'
import type { ServiceDiscovery } from './discovery/service-discovery.js'
import type { HealthCheck } from './health-check/health-check.js'
import { runHealthRound } from './health-round.js'
import { withDeadline } from './with-deadline.js'

/** What backends work with. */
export interface BackendsOptions {
  /** Default: the real one. */
  readonly env?: Environment
  /** Told of changes of health. Default: the logger of each run. */
  readonly logger?: Logger
  /** What makes them the same in each of several threads. Default: the order of construction. */
  readonly name?: string | undefined
}

/** What a run may be given for itself. */
export interface RunOptions {
  /** Ends the run early. Default: none. */
  readonly signal?: AbortSignal
  /** Told of changes of health when the constructor was given none. Default: writes nothing. */
  readonly logger?: Logger
}

/**
 * Holds the current set. Empty until the first `update`. Readers never wait and never see half an
 * update: the set is replaced as a whole.
 *
 * Of several threads the main one updates and checks. A worker has the main thread's backends, with
 * their health and enablement, from its construction on; of their `ext` it has what JSON can say.
 * Backends that are made when the threads run already are their thread's alone.
 */
export class Backends {
  /** What its checks and updates go through. */
  readonly env: Environment
  readonly #discovery: ServiceDiscovery
  readonly #logger: Logger | undefined
  readonly #current: CurrentSet
  #check: HealthCheck | undefined
  #round: Promise<void> | undefined
  #updatesBegun = 0
  #updateApplied = 0

  constructor(discovery: ServiceDiscovery, options: BackendsOptions = {}) {
    this.env = options.env ?? REAL_ENVIRONMENT
    this.#discovery = discovery
    this.#logger = options.logger
    this.#current = new CurrentSet(this.env.sharedMemory, options.name)
  }

  /** The set of this moment; hold it for one decision, not longer. */
  get set(): BackendSet {
    return this.#current.value
  }

  /** All backends, ready or not, in address order. */
  get list(): readonly Backend[] {
    return this.set.backends
  }

  /** Whether the backend is healthy and enabled; false for one that is not in the set. */
  ready(backend: Backend): boolean {
    const { set } = this
    const index = set.indexOf(backend)
    return index >= 0 && set.health.isReady(index)
  }

  /** Whether the main thread updates and checks them, so that this one needs not and cannot. */
  get areOfMainThread(): boolean {
    return this.#current.follows
  }

  /**
   * Allows or forbids traffic to a backend in all threads, whatever its health; connections that
   * stand go on. Holds until the backend leaves the set or the discovery says otherwise.
   * @returns whether the backend is in the set; nothing happens when it is not.
   */
  setEnabled(backend: Backend, enabled: boolean): boolean {
    const { set } = this
    const index = set.indexOf(backend)
    if (index < 0) return false
    set.health.setEnabled(index, enabled)
    return true
  }

  /** How backends are checked from now on. Without one all count as healthy. */
  setHealthCheck(check: HealthCheck): void {
    this.#check = check
  }

  /**
   * Asks the discovery and takes over what it found. Backends that were there before keep their
   * health and enablement; new ones (a changed weight makes a new one) start healthy and enabled.
   * A set that differs in nothing but user data is no change, and the old data stays. Of updates that overlap, the one that began last wins.
   * In a worker of several threads it asks nobody: what the main thread has is in use already.
   * @param onChange called with the new set before it replaces the old one, when the two differ.
   * If it throws, the update is refused as a whole.
   * @returns whether the set changed.
   * @throws {@link ProxyError} (rejects) what the discovery rejects with; `PGR_DISCOVERY_FAILED`
   * when it takes more than 10 s; `PGR_OPTION_INVALID` for impossible weights, and for more than
   * 8 MiB as JSON when threads share them. The set stays.
   */
  async update(onChange?: (next: BackendSet) => void, options: RunOptions = {}): Promise<boolean> {
    if (this.#current.follows) return false
    const order = ++this.#updatesBegun
    const { env } = this
    const signal = options.signal ?? new AbortController().signal
    const { backends, enablement = NONE } = await withDeadline(
      { env, timeoutMs: DISCOVERY_TIMEOUT_MS, signal, timeoutError: discoveryTimeout },
      (discoverySignal) => this.#discovery.discover(discoverySignal),
    )
    if (order < this.#updateApplied) return false
    const changed = this.#current.replace(backends, enablement, onChange)
    this.#updateApplied = order
    return changed
  }

  /**
   * Checks every backend once; does nothing without a health check, and in a worker of several
   * threads, where the main thread's results count. A call during a round joins it. Resolves when
   * all are checked; rejects never. Results of a check that the signal cut off are not counted.
   * @param parallel check up to 64 at once, not one after the other, where one slow backend delays
   * the rest. Default: false.
   */
  runHealthCheck(parallel: boolean = false, options: RunOptions = {}): Promise<void> {
    const check = this.#check
    if (!check || this.#current.follows) return Promise.resolve()
    this.#round ??= runHealthRound({
      check,
      currentSet: () => this.set,
      parallel,
      signal: options.signal ?? new AbortController().signal,
      env: this.env,
      logger: this.#logger ?? options.logger ?? SILENT_LOGGER,
    }).finally(() => {
      this.#round = undefined
    })
    return this.#round
  }
}

function discoveryTimeout(): ProxyError {
  return new ProxyError('PGR_DISCOVERY_FAILED', `no answer within ${DISCOVERY_TIMEOUT_MS} ms`)
}

const DISCOVERY_TIMEOUT_MS = 10_000
const NONE: Enablement = new Map()
