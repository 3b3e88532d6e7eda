/** Counters: plain numbers in a row per thread, so that counting costs one addition. */
import { ERROR_CODES } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import { float64 } from '../shared-memory/internal.js'
import type { Shareable, SharedRegistry } from '../shared-memory/internal.js'

/** Every counter with a fixed name, in the order of its slot. */
export const COUNTER_NAMES = [
  /** Requests whose head was parsed. */
  'requests',
  /** Requests refused before that: malformed, too large, too slow. */
  'requestsRefused',
  /** Times an upstream was tried, first tries and retries alike. */
  'attempts',
  /** Attempts after the first one of a request. */
  'retries',
  /** Upstream connections opened. */
  'upstreamConnectionsOpened',
  /** Attempts that took a connection from the pool. */
  'upstreamConnectionsReused',
  /** Pooled connections closed because the peer spoke while they were idle. */
  'upstreamUnexpectedData',
  /** Downstream connections accepted. */
  'downstreamConnectionsAccepted',
  /** Downstream connections that are open now. */
  'downstreamConnectionsOpen',
  /** Downstream connections dropped because a limit on their number was reached. */
  'downstreamConnectionsLimited',
  /** Requests that became a tunnel: upgrades such as WebSocket, and CONNECT. */
  'tunnels',
  /** Tunnels that are open now. */
  'tunnelsOpen',
  /** Downstream connections closed before their first request: filtered, or without a valid PROXY header. */
  'downstreamConnectionsRefused',
  /** TLS handshakes with clients that succeeded. */
  'downstreamHandshakes',
  /** Those of them that resumed a session. */
  'downstreamHandshakesResumed',
  /** Throws and rejections that no hook's caller caught. */
  'uncaughtErrors',
] as const

/** The name of a fixed counter. */
export type CounterName = (typeof COUNTER_NAMES)[number]

/** Those that say how things are and not what happened. */
const GAUGES: ReadonlySet<CounterName> = new Set(['downstreamConnectionsOpen', 'tunnelsOpen'])

/** What counters share memory by. */
export interface CountersOptions {
  /** The counts of its threads are added up. Default: none; they are of this thread alone. */
  readonly registry?: SharedRegistry
  /** Tells them from others. Default: the order of construction does. */
  readonly name?: string
}

/**
 * Counts events by name, and errors by code. A thread adds to numbers of its own; what is read is
 * the sum over all threads. What a worker counted stays when it ends, what it held (such as open
 * connections) goes.
 */
export class Counters implements Shareable {
  #counted: Float64Array = new Float64Array(SLOTS)
  #held: Float64Array = new Float64Array(SLOTS)
  /** The rows of all threads, for both. */
  #rows: readonly (readonly Row[])[] = [[{ values: this.#counted }], [{ values: this.#held }]]

  /** Makes counters that are all zero. */
  constructor({ registry, name }: CountersOptions = {}) {
    registry?.enlist('counters', this, name)
  }

  /** Adds `amount` (default 1; may be negative for gauges such as open connections). */
  add(name: CounterName, amount: number = 1): void {
    const values = GAUGES.has(name) ? this.#held : this.#counted
    values[SLOT_OF[name]]! += amount
  }

  /** Adds 1 to the counter in `slot`, as {@link counterSlot} tells it: for what every request counts. */
  count(slot: number): void {
    this.#counted[slot]! += 1
  }

  /** Counts one error. */
  addError(code: ErrorCode): void {
    this.#counted[SLOT_OF[code]]! += 1
  }

  /** The value of one counter, over all threads. */
  get(name: CounterName): number {
    return this.#sum(SLOT_OF[name])
  }

  /** How often an error with `code` was counted, over all threads. */
  errors(code: ErrorCode): number {
    return this.#sum(SLOT_OF[code])
  }

  /** All counters that are not zero, over all threads, errors as `error:CODE`. */
  snapshot(): Record<string, number> {
    const entries: [string, number][] = []
    for (const [name, slot] of Object.entries(SLOT_OF)) {
      const value = this.#sum(slot)
      if (value !== 0) entries.push([slot < COUNTER_NAMES.length ? name : `error:${name}`, value])
    }
    return Object.fromEntries(entries)
  }

  /** Called by the registry. */
  share(registry: SharedRegistry, name: string): void {
    const shape = { values: float64(SLOTS) }
    const counted = registry.regionPerThread('counters', shape, 'per thread, kept', name)
    const held = registry.regionPerThread('gauges', shape, 'per thread, zeroed', name)
    if (registry.workerIndex === 0) {
      counted.own.values.set(this.#counted)
      held.own.values.set(this.#held)
    }
    this.#counted = counted.own.values
    this.#held = held.own.values
    this.#rows = [counted.rows, held.rows]
  }

  #sum(slot: number): number {
    let sum = 0
    for (const rows of this.#rows) for (const { values } of rows) sum += values[slot]!
    return sum
  }
}

/** The slot of a counter, for {@link Counters.count}; looking it up costs more than counting. */
export function counterSlot(name: CounterName): number {
  return SLOT_OF[name]
}

const ERROR_NAMES = Object.keys(ERROR_CODES)
/** The slot of each counter, by its name or code. */
const SLOT_OF = Object.fromEntries(
  [...COUNTER_NAMES, ...ERROR_NAMES].map((name, slot) => [name, slot]),
) as Readonly<Record<CounterName | ErrorCode, number>>
/** How many counters there are. */
const SLOTS: number = COUNTER_NAMES.length + ERROR_NAMES.length

/** The numbers of one thread, by slot. */
interface Row {
  readonly values: Float64Array
}
