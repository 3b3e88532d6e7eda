/** `RateLimit`: lets a number of events pass at once, and after them so many per second. */

/** Counts down from `burst`, and up again with time. No timer. */
export class RateLimit {
  readonly #burst: number
  readonly #perMs: number
  #left: number
  #countedMs: number

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst
    this.#perMs = perSecond / 1000
    this.#left = burst
    this.#countedMs = nowMs
  }

  /** Takes note of `count` events; fewer than none are earned back. Returns whether they may happen. */
  take(nowMs: number, count: number = 1): boolean {
    const earned = (nowMs - this.#countedMs) * this.#perMs
    this.#countedMs = nowMs
    this.#left = Math.min(this.#burst, this.#left + earned)
    if (this.#left < count) return false
    this.#left -= count
    return true
  }

  /** Forgets what has happened. */
  reset(): void {
    this.#left = this.#burst
  }
}
