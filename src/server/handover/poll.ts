/** Waits by looking again and again: for the few descriptors that no event loop watches. */
import type { Clock } from '../../time/index.js'

/** What {@link poll} needs of a clock. */
export type PollClock = Pick<Clock, 'nowMs' | 'schedule'>

/**
 * Calls `look` until it returns something, `maxMs` long at the most.
 * @returns what `look` returned; `undefined` when the time is over. Rejects with what `look` throws.
 */
export async function poll<T>(
  clock: PollClock,
  maxMs: number,
  look: () => T | undefined,
  everyMs: number = EVERY_MS,
): Promise<T | undefined> {
  const endMs = clock.nowMs() + maxMs
  for (;;) {
    const found = look()
    if (found !== undefined || clock.nowMs() >= endMs) return found
    await new Promise<void>((resolve) => {
      clock.schedule(everyMs, resolve)
    })
  }
}

/** Short beside the start of a process, long beside a look. */
const EVERY_MS = 10
