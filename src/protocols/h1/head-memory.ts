/** What the last head of a connection said, for the next one that says the same. */
import type { HeadFacts } from './head-facts.js'

/**
 * Clients that stay send nearly the same head again and again, which differ in the target at most, and
 * servers often the same answer. So the text that was read is compared with that of the last time,
 * which is many times faster than to parse it: equal text means what it meant. One per connection, for what
 * it remembers is its peer's.
 */
export class HeadMemory {
  /** Text that says all that the facts say, and what was read behind the head. */
  #text = ''
  #facts: HeadFacts | null = null
  /** How much of the text belongs to the head. */
  #headLength = 0

  /** What `text`, which starts at `start` in its buffer, says about the message, if it is remembered. */
  recall(text: string, start: number): HeadFacts | null {
    if (text !== this.#text || this.#facts === null) return null
    this.#facts.end = start + this.#headLength
    return this.#facts
  }

  /** Remembers that `text`, which starts at `start` in its buffer, says `facts`. */
  keep(text: string, start: number, facts: HeadFacts): void {
    if (facts.text.length > MAX_KEPT_LENGTH) return
    // The buffer is the connection's, which may go on with another one.
    facts.buffer = NO_BYTES
    this.#text = text
    this.#facts = facts
    this.#headLength = facts.end - start
  }
}

/** Most heads are shorter; longer ones would cost too much in thousands of idle connections. */
const MAX_KEPT_LENGTH = 2_048
const NO_BYTES = Buffer.alloc(0)
