/** The clock of the machine. */
// The global of that name is an accessor, which costs a call each time.
import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from './clock.js'

/** The machine's own time. Stateless. */
export class RealClock implements Clock {
  nowMs(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  schedule(delayMs: number, callback: () => void): Timer {
    // Node fires at once, with a warning, for delays beyond 2^31-1 ms; 24 days serve as well.
    const timer = setTimeout(callback, Math.min(delayMs, MAX_DELAY_MS))
    timer.unref()
    return {
      cancel: () => {
        clearTimeout(timer)
      },
    }
  }
}

const MAX_DELAY_MS = 0x7fffffff
