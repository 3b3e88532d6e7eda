/** `ReadySchedules`: the schedules of the ready backends and of the others, kept up with health. */
import type { Backend } from '../backend.js'
import type { Readiness } from '../health-table.js'
import { weightedSchedule } from './weighted-schedule.js'
import type { WeightedSchedule } from './weighted-schedule.js'

/**
 * Two schedules that share out all backends. They are laid out anew only when the readiness has
 * changed: so between two changes a pick is one index operation, and a backend that is down
 * leaves no gap which another one would have to fill.
 */
export class ReadySchedules {
  readonly #weights: Uint16Array
  readonly #readiness: Readiness
  #version: number
  #ready: WeightedSchedule = EMPTY
  #spare: WeightedSchedule = EMPTY

  constructor(backends: readonly Backend[], readiness: Readiness) {
    this.#weights = Uint16Array.from(backends, (backend) => backend.weight)
    this.#readiness = readiness
    this.#version = readiness.version
    this.#layOut()
  }

  /** Those that are healthy and enabled. */
  get ready(): WeightedSchedule {
    if (this.#readiness.version !== this.#version) this.#layOut()
    return this.#ready
  }

  /** Those that are not. */
  get spare(): WeightedSchedule {
    if (this.#readiness.version !== this.#version) this.#layOut()
    return this.#spare
  }

  #layOut(): void {
    const ready: number[] = []
    const spare: number[] = []
    // Another thread may say that one is ready, then that another is not: read between the two, the
    // flags of both would be wrong. So they are read again if something has changed meanwhile.
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // Before the flags are read: a change after the last try is then seen at the next pick.
      this.#version = this.#readiness.version
      this.#sortOut(ready, spare)
      if (this.#readiness.version === this.#version) break
    }
    this.#ready = weightedSchedule(ready, this.#weights)
    this.#spare = weightedSchedule(spare, this.#weights)
  }

  #sortOut(ready: number[], spare: number[]): void {
    ready.length = spare.length = 0
    for (let index = 0; index < this.#weights.length; index++) {
      if (this.#readiness.isReady(index)) ready.push(index)
      else spare.push(index)
    }
  }
}

/** Changes are seldom: so many during as many reads cannot go on. */
const MAX_TRIES = 100
const EMPTY: WeightedSchedule = { slots: new Uint16Array(0), members: [] }
