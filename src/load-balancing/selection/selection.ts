/** `BackendSelection`: the interface of every algorithm that picks a backend. */
import type { Random } from '../../transport/index.js'
import type { Backend } from '../backend.js'
import type { Readiness } from '../health-table.js'
import type { Position } from './position.js'

/** What a selection hashes, when it hashes: text or bytes that say whose request it is. */
export type SelectionKey = string | Uint8Array

/** What a selector is built from. */
export interface SelectionContext {
  /** All backends, in address order, ready or not; each once. May be empty. */
  readonly backends: readonly Backend[]
  /** Which of them may be picked at this moment; it changes while the selector lives. */
  readonly readiness: Readiness
  /** The balancer's position; it goes on over all selectors that the balancer builds. */
  readonly position: Position
  /** The source of chance. */
  readonly random: Random
}

/**
 * Picks among the backends of one set. Called for every request: it neither waits nor throws.
 * Both methods speak of backends by their index in {@link SelectionContext.backends}.
 */
export interface BackendSelector {
  /** The ready backend for this key, by index; -1 when none is ready. Allocates nothing. */
  next(key: SelectionKey): number
  /**
   * Offers backends one by one, each at most once, best first, ready ones before the others, until
   * `accept` takes one. The first is chosen as `next` chooses.
   * @param maxCandidates how many are offered at most.
   * @returns the index that was taken; -1 when none was.
   */
  search(key: SelectionKey, maxCandidates: number, accept: (index: number) => boolean): number
}

/** An algorithm. Stateless: what a balancer has to keep is in the context. */
export interface BackendSelection {
  /** What configuration files and logs call it, such as `round_robin`. */
  readonly name: string
  /** A selector for one set of backends. Called at every change of the set. */
  build(context: SelectionContext): BackendSelector
}
