/** The `Date` field, formatted at most once per second. */

/** Formats wall time as an IMF-fixdate (RFC 9110 §5.6.7); remembers the last second. */
export class HttpDate {
  #second = -1
  #text = ''

  /** The date at `wallMs` (ms since 1970-01-01 UTC). */
  at(wallMs: number): string {
    const second = Math.floor(wallMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Date(second * 1000).toUTCString()
    }
    return this.#text
  }
}
