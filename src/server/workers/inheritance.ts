/** Values that the main thread makes once and its workers get, such as what a file says. */
import { thisWorker } from './this-worker.js'

/** What this thread has made for its workers, in order. */
const made: unknown[] = []
let taken = 0

/**
 * In the main thread the value that `make` returns, kept for the workers that are started later; in a
 * worker a copy of that value, without a call of `make`: all threads must agree about a file though
 * it changes. Every thread calls it as often and in the same order.
 * @param make returns plain data, without functions and classes.
 */
export function inheritFromMain<T>(make: () => T): T {
  const worker = thisWorker()
  if (worker !== null) return worker.inherited[taken++] as T
  const value = make()
  made.push(value)
  return value
}

/** What a worker that is started now inherits. */
export function inheritance(): readonly unknown[] {
  return made
}
