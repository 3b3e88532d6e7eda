/** Counters of one thread: plain numbers in one typed array, so that counting costs one addition. */
import { ERROR_CODES } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'

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
  /** Throws and rejections that no hook's caller caught. */
  'uncaughtErrors',
] as const

/** The name of a fixed counter. */
export type CounterName = (typeof COUNTER_NAMES)[number]

/** Counts events by name, and errors by code. */
export class Counters {
  readonly #values: Float64Array = new Float64Array(COUNTER_NAMES.length + ERROR_NAMES.length)

  /** Adds `amount` (default 1; may be negative for gauges such as open connections). */
  add(name: CounterName, amount: number = 1): void {
    this.#values[SLOT_OF[name]]! += amount
  }

  /** Adds 1 to the counter in `slot`, as {@link counterSlot} tells it: for what every request counts. */
  count(slot: number): void {
    this.#values[slot]! += 1
  }

  /** Counts one error. */
  addError(code: ErrorCode): void {
    this.#values[SLOT_OF[code]]! += 1
  }

  /** The value of one counter. */
  get(name: CounterName): number {
    return this.#values[SLOT_OF[name]]!
  }

  /** How often an error with `code` was counted. */
  errors(code: ErrorCode): number {
    return this.#values[SLOT_OF[code]]!
  }

  /** All counters that are not zero, errors as `error:CODE`. */
  snapshot(): Record<string, number> {
    const entries: [string, number][] = []
    for (const [name, slot] of Object.entries(SLOT_OF)) {
      const value = this.#values[slot]!
      if (value !== 0) entries.push([slot < COUNTER_NAMES.length ? name : `error:${name}`, value])
    }
    return Object.fromEntries(entries)
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
