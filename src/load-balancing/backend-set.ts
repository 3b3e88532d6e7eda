/** `BackendSet`: one snapshot of the backends, in address order, with their health. */
import { ProxyError } from '../error/index.js'
import { parseSocketAddress } from '../transport/index.js'
import { addressSortKey } from './address-order.js'
import type { Backend } from './backend.js'
import { HealthMemory } from './health-memory.js'
import type { HealthPlace } from './health-memory.js'
import { HealthTable } from './health-table.js'
import { MAX_SLOTS, scaledWeights } from './selection/weighted-schedule.js'

/**
 * The backends at one moment. The list never changes: an update makes a new set, so whoever holds
 * one sees all of an update or nothing of it. Only the health in it moves on.
 */
export class BackendSet {
  /** In address order: IPv4, IPv6, unix paths; then by weight. Each backend once. */
  readonly backends: readonly Backend[]
  /** State by index in `backends`. */
  readonly health: HealthTable
  readonly #indexByKey: ReadonlyMap<string, number>

  /**
   * Of backends that are the same (address and weight) the first is taken.
   * @param memory has their states. Default: the set's own.
   * @param placeOf where in it that of one backend is. Default: at a new place, healthy and enabled.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when there are too many, or when the weights,
   * divided by their greatest common divisor, add up to more than 65535.
   */
  constructor(
    backends: Iterable<Backend>,
    memory: HealthMemory = new HealthMemory(),
    placeOf: (backend: Backend) => HealthPlace = () => memory.allot(),
  ) {
    this.backends = Object.freeze(sorted(unique(backends)))
    checkWeights(this.backends)
    this.health = new HealthTable(this.backends.length, memory, this.backends.map(placeOf))
    this.#indexByKey = new Map(this.backends.map((backend, index) => [backend.key, index]))
  }

  /** The index of the backend, or of the one that is the same; -1 when it is not in the set. O(1). */
  indexOf(backend: Backend): number {
    return this.indexOfKey(backend.key)
  }

  /** As {@link indexOf}, by {@link Backend.key}. */
  indexOfKey(key: string): number {
    return this.#indexByKey.get(key) ?? -1
  }

  /** Whether both hold the same backends. */
  equals(other: BackendSet): boolean {
    if (this.backends.length !== other.backends.length) return false
    return this.backends.every((backend, index) => backend.key === other.backends[index]?.key)
  }

  /** Where the state of the backend is, or that of the same one; `undefined` when there is none. */
  placeOf(backend: Backend): HealthPlace | undefined {
    const index = this.indexOf(backend)
    return index < 0 ? undefined : this.health.place(index)
  }
}

function unique(backends: Iterable<Backend>): Backend[] {
  const byKey = new Map<string, Backend>()
  for (const backend of backends) {
    if (!byKey.has(backend.key)) byKey.set(backend.key, backend)
    if (byKey.size > MAX_SLOTS) {
      throw new ProxyError('PGR_OPTION_INVALID', `backends: at most ${MAX_SLOTS} are possible`)
    }
  }
  return [...byKey.values()]
}

function sorted(backends: readonly Backend[]): Backend[] {
  const keyed = backends.map((backend) => ({
    backend,
    sortKey: addressSortKey(parseSocketAddress(backend.address)),
  }))
  keyed.sort((a, b) => {
    if (a.sortKey !== b.sortKey) return a.sortKey < b.sortKey ? -1 : 1
    return a.backend.weight - b.backend.weight
  })
  return keyed.map(({ backend }) => backend)
}

// Checked here and not where a schedule is built, so that it is the update that fails, as a whole,
// and never a later change of health: a part of the backends always needs fewer slots than all.
function checkWeights(backends: readonly Backend[]): void {
  const total = scaledWeights(backends.map(({ weight }) => weight)).reduce((sum, w) => sum + w, 0)
  if (total > MAX_SLOTS) {
    const text = `weights: at most ${MAX_SLOTS} together, after division by what they have in common`
    throw new ProxyError('PGR_OPTION_INVALID', `${text}; got ${total}`)
  }
}
