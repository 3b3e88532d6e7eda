/** `Driver`: lets a fake world go on, event by event, as long as somebody waits for something. */
import { ProxyError, describeThrown } from '../error/index.js'
import { RealClock } from '../time/index.js'
import type { ManualClock } from '../time/index.js'
import { PromiseTurns, eventTurn } from '../time/internal.js'
import type { PendingJobs } from './pending-jobs.js'

/** What a {@link Driver} is made from. */
export interface DriverOptions {
  /** The clock on which everything in the world happens. */
  readonly clock: ManualClock
  /** Counts what runs outside of JavaScript; `null`: nothing does. */
  readonly jobs: PendingJobs | null
  /** Told what a call of the clock throws. */
  readonly onUncaught: (thrown: unknown) => void
  /** What the world went through last, for the messages of errors. */
  readonly report: () => string
  /** Calls of the clock at one instant, after which it is taken for endless. Default: 5000000. */
  readonly maxEventsPerInstant?: number
}

interface Waiter {
  readonly what: string
  readonly isMet: () => boolean
  /** When the wait is over, met or not, in the clock's ms. */
  readonly untilMs: number
  /** Whether it keeps the world going. */
  readonly drives: boolean
  /** Whether it ends only when no other wait does, for who goes on may do more at this instant. */
  readonly isIdle: boolean
  readonly settle: (outcome: Outcome) => void
}

/** `null`: met. A text: why not. An error: the fault that ended everything. */
type Outcome = null | string | Error

/**
 * Runs one call of the clock, lets the event loop go round so that promises settle, and so on until
 * nothing is due at this instant; only then conditions are looked at, and only when none holds does
 * time pass. So equal worlds go through equal events. While nobody waits nothing happens.
 */
export class Driver {
  readonly #clock: ManualClock
  readonly #jobs: PendingJobs | null
  readonly #onUncaught: (thrown: unknown) => void
  readonly #report: () => string
  readonly #maxEventsPerInstant: number
  readonly #promiseTurns = new PromiseTurns()
  readonly #waiters = new Set<Waiter>()
  #drivers = 0
  #running = false
  #events = 0
  /** The instant of the latest event, and how many there were at it. */
  #instantMs = 0
  #instantEvents = 0
  #fault: Error | null = null
  #faultSeen = false
  #jobsSinceMs = Infinity

  constructor(options: DriverOptions) {
    this.#clock = options.clock
    this.#jobs = options.jobs
    this.#onUncaught = options.onUncaught
    this.#report = options.report
    this.#maxEventsPerInstant = options.maxEventsPerInstant ?? MAX_EVENTS_PER_INSTANT
  }

  /** Calls of the clock that were run. */
  get events(): number {
    return this.#events
  }

  /** Resolves when nothing is left to do at this instant. */
  idle(): Promise<void> {
    return this.#wait('idle', () => true, 0, { drives: true, isIdle: true })
  }

  /**
   * Lets `ms` pass.
   * @throws {@link ProxyError} (rejects) `PGR_OPTION_INVALID` when `ms` is negative or no number.
   */
  async advance(ms: number): Promise<void> {
    checkMs('advance', ms)
    const untilMs = this.#clock.nowMs() + ms
    const hasPassed = (): boolean => this.#clock.nowMs() >= untilMs
    await this.#wait(`${ms} ms to pass`, hasPassed, ms, { drives: true, isIdle: true })
  }

  /** Lets time pass until `condition` holds; rejects when it does not within `withinMs`. */
  async until(condition: () => boolean, what: string, withinMs: number): Promise<void> {
    checkMs('withinMs', withinMs)
    await this.#wait(what, condition, withinMs, { drives: true, isIdle: false })
  }

  /** As `until`, while somebody else drives. */
  async when(condition: () => boolean, what: string, withinMs: number): Promise<void> {
    checkMs('withinMs', withinMs)
    await this.#wait(what, condition, withinMs, { drives: false, isIdle: false })
  }

  /** Lets time pass until `promise` settles. */
  async run<T>(promise: PromiseLike<T>, withinMs: number): Promise<T> {
    let settled = false
    const onSettled = (): void => {
      settled = true
    }
    // The reaction to a rejection is here, so that a wait that fails first leaves none unhandled.
    promise.then(onSettled, onSettled)
    await this.until(() => settled, 'a promise to settle', withinMs)
    return promise
  }

  /** Makes every wait, now and later, reject with `thrown`; only the first fault counts. */
  fail(thrown: unknown): void {
    this.#fault ??= toError(thrown)
    if (this.#drivers > 0) this.#faultSeen = true
    this.#giveUp(this.#fault)
  }

  /** Forgets the fault, so that waits work again; returns it when no wait has rejected with it. */
  takeFault(): Error | null {
    const fault = this.#faultSeen ? null : this.#fault
    this.#fault = null
    return fault
  }

  /** Ends all waits, now and later: driving ones reject, others stay open for ever. */
  close(): void {
    this.#giveUp('the world was closed')
    this.#waiters.clear()
    this.#fault ??= new Error('the world is closed')
  }

  async #wait(
    what: string,
    isMet: () => boolean,
    withinMs: number,
    kind: Pick<Waiter, 'drives' | 'isIdle'>,
  ): Promise<void> {
    if (this.#fault) {
      this.#faultSeen = true
      throw this.#fault
    }
    const outcome = await new Promise<Outcome>((settle) => {
      const untilMs = this.#clock.nowMs() + withinMs
      this.#waiters.add({ what, isMet, untilMs, ...kind, settle })
      if (kind.drives) this.#start()
    })
    if (outcome === null) return
    if (outcome instanceof Error) throw outcome
    // Made only here, so that its stack names who waited and not the loop.
    throw new Error(`waited in vain for ${what}: ${outcome}\n${this.#report()}`)
  }

  #start(): void {
    this.#drivers++
    if (this.#running) return
    this.#running = true
    void this.#drive()
  }

  async #drive(): Promise<void> {
    // The code of this project uses no immediates; who does not count jobs needs only promises.
    const promiseTurns = this.#jobs === null ? this.#promiseTurns : null
    const turnsNeeded = promiseTurns === null ? 2 : 1
    let quietTurns = 0
    while (this.#drivers > 0) {
      await (promiseTurns === null ? eventTurn() : promiseTurns.next())
      quietTurns++
      // When such jobs end only real time decides: nothing else may happen before, or it would too.
      const holds = this.#jobs !== null && this.#jobs.outside > 0 && this.#jobsPending()
      if (holds || this.#runNext(this.#clock.nowMs()) || this.#jobsPending()) quietTurns = 0
      if (quietTurns < turnsNeeded) continue
      quietTurns = 0
      if (!this.#settle()) this.#passTime()
    }
    this.#running = false
  }

  /** Runs one call that is due by `untilMs`; one only, so that its promises settle before the next. */
  #runNext(untilMs: number): boolean {
    try {
      if (!this.#clock.runNext(untilMs)) return false
    } catch (thrown) {
      this.#onUncaught(thrown)
    }
    this.#events++
    this.#countInstant()
    return true
  }

  #jobsPending(): boolean {
    if (this.#jobs === null || this.#jobs.count === 0) {
      this.#jobsSinceMs = Infinity
      return false
    }
    // They take real time, and one that never ends would hang the test without a word.
    const nowMs = REAL_CLOCK.nowMs()
    this.#jobsSinceMs = Math.min(this.#jobsSinceMs, nowMs)
    if (nowMs - this.#jobsSinceMs > MAX_JOBS_MS) {
      this.#giveUp(`for ${MAX_JOBS_MS} ms of real time there were jobs: ${this.#jobs.describe()}`)
    }
    return true
  }

  /** Ends the waits that are met or, when there is none, those that are over; whether one ended. */
  #settle(): boolean {
    // Who goes on now may do, at this very instant, what another one waits for.
    if (this.#endMet(false) || this.#endMet(true)) return true
    const before = this.#waiters.size
    const nowMs = this.#clock.nowMs()
    for (const waiter of this.#waiters) {
      if (waiter.untilMs <= nowMs) this.#end(waiter, `it did not come by ${nowMs} ms`)
    }
    return this.#waiters.size < before
  }

  /** Ends the waits that are met, the idle ones or the others; whether there was one. */
  #endMet(isIdle: boolean): boolean {
    const before = this.#waiters.size
    for (const waiter of this.#waiters) {
      if (waiter.isIdle !== isIdle) continue
      try {
        if (waiter.isMet()) this.#end(waiter, null)
      } catch (thrown) {
        this.#end(waiter, toError(thrown))
      }
    }
    return this.#waiters.size < before
  }

  /** On to the next call of the clock, or to the end of the wait that is over first. */
  #passTime(): void {
    let untilMs = Infinity
    for (const waiter of this.#waiters) untilMs = Math.min(untilMs, waiter.untilMs)
    if (this.#runNext(untilMs)) return
    if (untilMs < Infinity) this.#clock.advanceTo(untilMs)
    else this.#giveUp('nothing will ever happen again: no call is scheduled')
  }

  /** A loop that feeds itself goes on for ever without any time passing. */
  #countInstant(): void {
    const nowMs = this.#clock.nowMs()
    if (nowMs !== this.#instantMs) {
      this.#instantMs = nowMs
      this.#instantEvents = 0
    }
    if (++this.#instantEvents <= this.#maxEventsPerInstant) return
    this.#giveUp(`more than ${this.#maxEventsPerInstant} events happened at ${nowMs} ms`)
    this.#instantEvents = 0
  }

  /** Ends all waits that drive. */
  #giveUp(outcome: string | Error): void {
    for (const waiter of this.#waiters) if (waiter.drives) this.#end(waiter, outcome)
  }

  #end(waiter: Waiter, outcome: Outcome): void {
    this.#waiters.delete(waiter)
    if (waiter.drives) this.#drivers--
    waiter.settle(outcome)
  }
}

function checkMs(name: string, ms: number): void {
  if (ms >= 0) return
  throw new ProxyError('PGR_OPTION_INVALID', `${name}: 0 ms or more, got ${ms}`)
}

/** What was thrown, as an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeThrown(thrown))
}

const REAL_CLOCK = new RealClock()
/** A megabyte that comes byte by byte, twice, takes less. */
const MAX_EVENTS_PER_INSTANT = 5_000_000
/** Compressing many megabytes or hashing a password takes less. */
const MAX_JOBS_MS = 30_000
