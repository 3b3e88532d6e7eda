/** `RoundRobin`: backends in turn, each as often as its weight says. */
import { ReadySchedules } from './ready-schedules.js'
import type { Position } from './position.js'
import type {
  BackendSelection,
  BackendSelector,
  SelectionContext,
  SelectionKey,
} from './selection.js'
import type { WeightedSchedule } from './weighted-schedule.js'

/**
 * Weighted round robin over the ready backends. Over one cycle each gets exactly its share, the
 * turns evenly spaced, whatever other backends are down or refused. The key does not matter.
 * One index operation per pick.
 */
export class RoundRobin implements BackendSelection {
  readonly name: string = 'round_robin'

  build(context: SelectionContext): BackendSelector {
    return new RoundRobinSelector(context)
  }
}

class RoundRobinSelector implements BackendSelector {
  readonly #schedules: ReadySchedules
  readonly #position: Position

  constructor({ backends, readiness, position }: SelectionContext) {
    this.#schedules = new ReadySchedules(backends, readiness)
    this.#position = position
  }

  next(): number {
    const { slots } = this.#schedules.ready
    if (slots.length === 0) return -1
    return slots[this.#position.take(slots.length) % slots.length]!
  }

  search(_key: SelectionKey, maxCandidates: number, accept: (index: number) => boolean): number {
    const { ready, spare } = this.#schedules
    const index = this.#walk(ready, maxCandidates, accept)
    if (index >= 0) return index
    return this.#walk(spare, maxCandidates - ready.members.length, accept)
  }

  /**
   * Takes turns until one is of a backend that is taken. The turns passed over are used up, like
   * those of a backend that is down: so those who are accepted keep their exact shares, also when
   * other threads take turns in between.
   */
  #walk(
    { slots, members }: WeightedSchedule,
    maxCandidates: number,
    accept: (index: number) => boolean,
  ): number {
    const candidates = Math.min(maxCandidates, members.length)
    if (candidates <= 0) return -1
    const first = this.#position.take(slots.length)
    const preferred = slots[first % slots.length]!
    if (accept(preferred)) return preferred
    const offered = new Set([preferred])
    let [turn, taken] = [first, 1]
    // Alone, a thread meets every backend within one cycle.
    const maxTaken = slots.length + MAX_UNLUCKY_TURNS
    for (; offered.size < candidates && taken < maxTaken; taken++) {
      turn = this.#position.take(slots.length)
      const index = slots[turn % slots.length]!
      if (offered.has(index)) continue
      offered.add(index)
      if (accept(index)) return index
    }
    // Who takes nothing uses up one turn, unless others took turns in between.
    if (turn - first === taken - 1) this.#position.giveBack(taken - 1, turn)
    return offerOthers(members, offered, candidates, accept)
  }
}

/** Offers those whose turns other threads took again and again while this one went round. */
function offerOthers(
  members: readonly number[],
  offered: ReadonlySet<number>,
  candidates: number,
  accept: (index: number) => boolean,
): number {
  let left = candidates - offered.size
  for (const index of members) {
    if (left === 0) break
    if (offered.has(index)) continue
    left -= 1
    if (accept(index)) return index
  }
  return -1
}

/** So many turns of the wrong backends, while other threads get the right ones, are no coincidence. */
const MAX_UNLUCKY_TURNS = 1_000
