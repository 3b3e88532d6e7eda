/** `repeat`: runs rounds of work at an interval, never two at once, until told to stop. */
import type { Clock } from '../time/index.js'

/** When rounds run. */
export interface RepeatOptions {
  readonly clock: Clock
  /**
   * Time from the start of one round to the start of the next, in ms, asked for after each round;
   * `undefined` ends the repetition. A round that takes longer is followed by the next at once.
   */
  readonly intervalMs: () => number | undefined
  /** Ends the repetition; a wait is cut short. */
  readonly signal: AbortSignal
  /** When the latest round began, in the clock's ms. */
  readonly lastStartMs: number
}

/** Runs `round` again and again. Resolves when it ends; rejects only when a round does. */
export async function repeat(options: RepeatOptions, round: () => Promise<void>): Promise<void> {
  const { clock, signal } = options
  let lastStartMs = options.lastStartMs
  for (;;) {
    const intervalMs = options.intervalMs()
    if (intervalMs === undefined) return
    await sleep(clock, Math.max(0, lastStartMs + intervalMs - clock.nowMs()), signal)
    if (signal.aborted) return
    lastStartMs = clock.nowMs()
    await round()
  }
}

/** Waits for `delayMs`, or until the signal; leaves no timer and no listener behind. */
function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const wake = (): void => {
      timer.cancel()
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = clock.schedule(delayMs, wake)
    signal.addEventListener('abort', wake, { once: true })
  })
}
