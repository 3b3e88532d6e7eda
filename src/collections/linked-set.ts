/** `LinkedSet`: members that come and go by the thousands each second. */

/**
 * A set in the order of addition. The built-in `Set` makes a new table whenever removals have worn the
 * old one out, and links the old one to it: a single old table that the garbage collector takes for
 * long-lived keeps all later ones, and whoever was a member of one when it was replaced, until the next
 * full collection. Here what was removed holds nothing and is held by nobody.
 *
 * `add` and `remove` are O(1). Iteration sees who is a member when it begins, and has not been
 * removed when its turn comes.
 */
export class LinkedSet<T> implements Iterable<T> {
  #first: Link<T> | null = null
  #last: Link<T> | null = null
  #size = 0

  /** How many members there are. */
  get size(): number {
    return this.#size
  }

  /** Adds a member, last; the same one may be added again. @returns what {@link remove} wants. */
  add(member: T): Link<T> {
    const link = new Link(this, member, this.#last)
    if (this.#last === null) this.#first = link
    else this.#last.next = link
    this.#last = link
    this.#size++
    return link
  }

  /** Removes the member of `link`; returns whether it was there. */
  remove(link: Link<T>): boolean {
    if (link.set !== this) return false
    const { previous, next } = link
    if (previous === null) this.#first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
    // One that the garbage collector takes for long-lived must not keep the others.
    link.set = link.member = link.previous = link.next = null
    this.#size--
    return true
  }

  *[Symbol.iterator](): IterableIterator<T> {
    const links: Link<T>[] = []
    for (let link = this.#first; link !== null; link = link.next) links.push(link)
    for (const link of links) {
      if (link.set === this) yield link.member!
    }
  }
}

/** The place of one member in a {@link LinkedSet}; its fields are the set's. */
export class Link<T> {
  /** Where it is; `null` when it was removed, as all others then. */
  set: LinkedSet<T> | null
  /** Whose place it is. */
  member: T | null
  /** The member that was added before; `null` for the first. */
  previous: Link<T> | null
  /** The member that was added after; `null` for the last. */
  next: Link<T> | null = null

  /** Made by {@link LinkedSet.add}. */
  constructor(set: LinkedSet<T>, member: T, previous: Link<T> | null) {
    this.set = set
    this.member = member
    this.previous = previous
  }
}
