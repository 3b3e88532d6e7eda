/** `Random`: a backend by chance, each as likely as its weight says. */
import type { Random as RandomSource } from '../../transport/index.js'
import type { Backend } from '../backend.js'
import { ReadySchedules } from './ready-schedules.js'
import type {
  BackendSelection,
  BackendSelector,
  SelectionContext,
  SelectionKey,
} from './selection.js'

/** Weighted random choice among the ready backends. The key does not matter. O(1) per pick. */
export class Random implements BackendSelection {
  readonly name: string = 'random'

  build(context: SelectionContext): BackendSelector {
    return new RandomSelector(context)
  }
}

class RandomSelector implements BackendSelector {
  readonly #backends: readonly Backend[]
  readonly #schedules: ReadySchedules
  readonly #random: RandomSource

  constructor({ backends, readiness, random }: SelectionContext) {
    this.#backends = backends
    this.#schedules = new ReadySchedules(backends, readiness)
    this.#random = random
  }

  next(): number {
    const { slots } = this.#schedules.ready
    if (slots.length === 0) return -1
    return slots[Math.floor(this.#random.next() * slots.length)]!
  }

  search(_key: SelectionKey, maxCandidates: number, accept: (index: number) => boolean): number {
    const { ready, spare } = this.#schedules
    const index = this.#draw(ready.members, maxCandidates, accept)
    if (index >= 0) return index
    return this.#draw(spare.members, maxCandidates - ready.members.length, accept)
  }

  /** Draws without putting back, so that each refusal leaves the others their shares. */
  #draw(
    members: readonly number[],
    maxCandidates: number,
    accept: (index: number) => boolean,
  ): number {
    const rest = [...members]
    for (let left = maxCandidates; left > 0 && rest.length > 0; left--) {
      const place = this.#weightedPlace(rest)
      const index = rest[place]!
      if (accept(index)) return index
      rest.splice(place, 1)
    }
    return -1
  }

  /** A place in `members` by chance, as likely as the weight of the backend there says. */
  #weightedPlace(members: readonly number[]): number {
    const total = members.reduce((sum, index) => sum + this.#weight(index), 0)
    let left = this.#random.next() * total
    for (const [place, index] of members.entries()) {
      left -= this.#weight(index)
      if (left < 0) return place
    }
    return members.length - 1
  }

  #weight(index: number): number {
    return this.#backends[index]!.weight
  }
}
