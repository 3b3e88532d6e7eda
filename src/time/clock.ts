/** `Clock`: the only source of time, so that tests can stand in for it. */

/** A call that was scheduled and can still be taken back. */
export interface Timer {
  /** Takes the call back; nothing happens when it has run already. */
  cancel(): void
}

/** Monotonic and wall time, and calls at a later time. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. Used for every time-out. */
  nowMs(): number
  /** Milliseconds since 1970-01-01 UTC; may jump. Used for dates that people and peers see. */
  wallMs(): number
  /** Runs `callback` once after `delayMs`; the wait alone does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer
}
