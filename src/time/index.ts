/** `pingora-ts/time`: the clock and the deadline wheel. */
export type { Clock, Timer } from './clock.js'
export { Deadline, DeadlineWheel } from './deadline-wheel.js'
export { ManualClock } from './manual-clock.js'
export { RealClock } from './real-clock.js'
