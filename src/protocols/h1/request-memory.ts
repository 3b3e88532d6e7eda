/** What a client's last request head said, for the next one that says the same. */
import type { HeadFacts } from './head-facts.js'

/**
 * Clients that stay send nearly the same head again and again, and differ in the target only. So the
 * text behind the target is compared with that of the last head, which is many times faster than to
 * parse it: equal text means what it meant. One per connection, for what it remembers is its client's.
 */
export class RequestMemory {
  /** From the version to the empty line. */
  #rest = ''
  #facts: HeadFacts | null = null

  /** What `rest`, which ends at `end`, says about the message, if it is remembered. */
  recall(rest: string, end: number): HeadFacts | null {
    if (rest !== this.#rest || this.#facts === null) return null
    this.#facts.end = end
    return this.#facts
  }

  /** Remembers what `rest` says, which is a whole head from the version on. */
  keep(rest: string, facts: HeadFacts): void {
    if (facts.text.length > MAX_KEPT_LENGTH) return
    // The buffer is the connection's, which may go on with another one.
    facts.buffer = NO_BYTES
    this.#rest = rest
    this.#facts = facts
  }
}

/** Most heads are shorter; longer ones would cost too much in thousands of idle connections. */
const MAX_KEPT_LENGTH = 2_048
const NO_BYTES = Buffer.alloc(0)
