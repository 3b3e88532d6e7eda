/** `TurnEnd`: does at the end of a turn of the event loop what can wait until then. */

/** Taken now: what is written must leave though a test has put fake timers in place. */
const nextTurn = globalThis.setImmediate

/**
 * Collects items while the event loop tells of what has come, and takes them all when it has told
 * everything. Adding costs an array element; a turn in which nothing was added costs nothing.
 */
export class TurnEnd<T> {
  readonly #take: (item: T) => void
  #items: T[] = []
  /** The array of the turn before, empty, to be filled in the next one. */
  #spare: T[] = []
  readonly #onTurnEnd = (): void => {
    const items = this.#items
    this.#items = this.#spare
    for (const item of items) this.#take(item)
    items.length = 0
    this.#spare = items
  }

  /** @param take called once for each item, in order; must not throw. */
  constructor(take: (item: T) => void) {
    this.#take = take
  }

  /** Has `item` taken at the end of this turn; while items are taken: of the next one. */
  add(item: T): void {
    if (this.#items.length === 0) nextTurn(this.#onTurnEnd)
    this.#items.push(item)
  }
}
