/** `FloodGuard`: counts what a client makes us do for nothing, and says when it is too much. */
import type { H2Limits } from './h2-server-options.js'
import { RateLimit } from './rate-limit.js'

/**
 * The account of one connection. Node tells of requests, pings and settings, which are counted one by
 * one. Of other frames it tells nothing; they show in the bytes that came and carried nothing.
 */
export class FloodGuard {
  /** The number of the last stream that became a request; 0: none. */
  lastStream = 0
  readonly #resets: RateLimit
  readonly #idleFrames: RateLimit
  readonly #overhead: RateLimit
  /** What a request may cost in bytes besides its body: its head, and a body that we do not want. */
  readonly #requestBytes: number
  /** Bytes that were good for something, of streams that are over. */
  #carried = 0
  /** What came for nothing, when that was last looked at. */
  #countedOverhead = 0

  /** @param maxHeadBytes how long a head may be. */
  constructor(limits: H2Limits, maxHeadBytes: number, nowMs: number) {
    this.#resets = new RateLimit(limits.resetBurst, limits.resetsPerSecond, nowMs)
    this.#idleFrames = new RateLimit(limits.idleFrameBurst, limits.idleFramesPerSecond, nowMs)
    this.#overhead = new RateLimit(limits.overheadBurstBytes, limits.overheadBytesPerSecond, nowMs)
    this.#requestBytes = maxHeadBytes + limits.initialWindowBytes
  }

  /**
   * A request came on `stream`. Those whose numbers it passes over had heads that Node has refused.
   * Returns whether there may be so many.
   */
  opened(stream: number, nowMs: number): boolean {
    const passedOver = Math.floor((stream - this.lastStream - 1) / 2)
    this.lastStream = stream
    this.#carried += this.#requestBytes
    this.progressed()
    return passedOver === 0 || this.#resets.take(nowMs, passedOver)
  }

  /** The client has broken a request off, or had us do it. Returns whether it may. */
  brokenOff(nowMs: number): boolean {
    return this.#resets.take(nowMs)
  }

  /** A ping is answered, settings are acknowledged: who sends nothing else wants just that. */
  idleFrame(nowMs: number): boolean {
    return this.#idleFrames.take(nowMs)
  }

  /** Something that is worth its frames has come or gone. */
  progressed(): void {
    this.#idleFrames.reset()
  }

  /** A stream is over that carried so many bytes, both ways. */
  closed(carriedBytes: number): void {
    this.#carried += carriedBytes
  }

  /**
   * Compares what has come with what it was good for: a client may send as much for nothing as it
   * gets or sends besides. Returns whether it has kept to that.
   * @param bytesRead all that has come on the connection.
   * @param carriedBytes what the streams in progress have carried, both ways.
   */
  balances(bytesRead: number, carriedBytes: number, nowMs: number): boolean {
    const overhead = bytesRead - this.#carried - carriedBytes
    const more = overhead - this.#countedOverhead
    this.#countedOverhead = overhead
    return this.#overhead.take(nowMs, more)
  }
}
