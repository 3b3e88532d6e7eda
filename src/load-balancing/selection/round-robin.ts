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
    return slots[this.#position.take() % slots.length]!
  }

  search(_key: SelectionKey, maxCandidates: number, accept: (index: number) => boolean): number {
    const { ready, spare } = this.#schedules
    const index = this.#walk(ready, maxCandidates, accept)
    if (index >= 0) return index
    return this.#walk(spare, maxCandidates - ready.members.length, accept)
  }

  /**
   * Goes on along the turns until one is taken. The turns passed over are used up, like those of a
   * backend that is down: so those who are accepted keep their exact shares.
   */
  #walk(
    schedule: WeightedSchedule,
    maxCandidates: number,
    accept: (index: number) => boolean,
  ): number {
    const { slots, members } = schedule
    const candidates = Math.min(maxCandidates, members.length)
    if (candidates <= 0) return -1
    const first = this.#position.take()
    const preferred = slots[first % slots.length]!
    if (accept(preferred)) return preferred
    const offered = new Set([preferred])
    for (let step = 1; offered.size < candidates; step++) {
      const index = slots[(first + step) % slots.length]!
      if (offered.has(index)) continue
      offered.add(index)
      if (!accept(index)) continue
      this.#position.skip(step)
      return index
    }
    return -1
  }
}
