/** Turns of the event loop, for who must let everything run that only waits for its turn. */
import { AsyncResource } from 'node:async_hooks'

/** Taken now: a test runner's fake timers must not stop the turns of a world that has its own clock. */
const nextTurn = globalThis.setImmediate

/** The scope in which turns are asked for; it tells them from the immediates of others. */
const SCOPE = new AsyncResource('PINGORA_EVENT_TURN')

/** The id that triggers each turn, for who counts pending immediates with `node:async_hooks`. */
export const EVENT_TURN_TRIGGER_ID: number = SCOPE.asyncId()

/** Resolves in the next turn of the event loop, when all promises that could settle have settled. */
export function eventTurn(): Promise<void> {
  return new Promise((resolve) => {
    SCOPE.runInAsyncScope(nextTurn, undefined, resolve)
  })
}

/**
 * Turns for one loop that needs only promises to settle: many share one round of the event loop,
 * which saves most of their cost, and input, output and immediates of others come less often.
 */
export class PromiseTurns {
  #resolve: (() => void) | null = null
  /** Immediates that were asked for and have not come. */
  #coming = 0
  readonly #onTurn = (): void => {
    this.#coming--
    const resolve = this.#resolve
    this.#resolve = null
    resolve?.()
  }

  /** Resolves when all promises that could settle have settled. One call at a time. */
  next(): Promise<void> {
    // Between two immediates of one round Node lets all promises settle.
    if (this.#coming === 0) {
      for (; this.#coming < TURNS_PER_ROUND; this.#coming++) {
        SCOPE.runInAsyncScope(nextTurn, undefined, this.#onTurn)
      }
    }
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }
}

/** What a loop that ends early wastes is as little as this. */
const TURNS_PER_ROUND = 16
