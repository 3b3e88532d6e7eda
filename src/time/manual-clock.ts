/** A clock that moves only when told, for tests. */
import type { Clock, Timer } from './clock.js'

/**
 * Time that stands still until it is moved. Scheduling and running a call cost O(log n) for n
 * calls that wait; taking one back is O(1).
 */
export class ManualClock implements Clock {
  #nowMs = 0
  readonly #startWallMs: number
  readonly #calls = new CallHeap()

  /** @param startWallMs wall time at the start, in ms since 1970-01-01 UTC. Default: 2026-01-01. */
  constructor(startWallMs: number = DEFAULT_START_MS) {
    this.#startWallMs = startWallMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs
  }

  schedule(delayMs: number, callback: () => void): Timer {
    // What is no positive number means at once, as with a real timer.
    return this.#calls.add(this.#nowMs + (delayMs > 0 ? delayMs : 0), callback)
  }

  /** Moves time on by `ms` and runs every call that falls due, in order of time, then of schedule. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    while (this.runNext(endMs));
    this.#moveTo(endMs)
  }

  /**
   * Runs the first call that is due by `untilMs`, after moving time to it.
   * Returns `false`, and does nothing, when there is none.
   */
  runNext(untilMs: number): boolean {
    const next = this.#calls.first()
    if (next === undefined || !(next.atMs <= untilMs)) return false
    this.#calls.removeFirst()
    this.#moveTo(next.atMs)
    next.run()
    return true
  }

  /**
   * Moves time on to `ms` and runs nothing. Returns `false`, and leaves time where it is, when a
   * call is due before `ms`: no call may be passed over.
   */
  advanceTo(ms: number): boolean {
    if (this.nextAtMs < ms) return false
    this.#moveTo(ms)
    return true
  }

  /** When the next call is due, in the terms of `nowMs`; `Infinity` when none is scheduled. */
  get nextAtMs(): number {
    return this.#calls.first()?.atMs ?? Infinity
  }

  /** Calls that are scheduled and have not run. */
  get pending(): number {
    return this.#calls.size
  }

  /** A call may itself have moved time on: it never goes back. */
  #moveTo(ms: number): void {
    if (ms > this.#nowMs) this.#nowMs = ms
  }
}

/** One call that waits; its own timer, so that scheduling makes one object. */
class ScheduledCall implements Timer {
  readonly atMs: number
  readonly order: number
  readonly #heap: CallHeap
  /** `null` once it has run or was taken back. */
  #callback: (() => void) | null

  constructor(atMs: number, order: number, heap: CallHeap, callback: () => void) {
    this.atMs = atMs
    this.order = order
    this.#heap = heap
    this.#callback = callback
  }

  get isCancelled(): boolean {
    return this.#callback === null
  }

  run(): void {
    const callback = this.#callback
    this.#callback = null
    callback?.()
  }

  cancel(): void {
    if (this.#callback === null) return
    this.#callback = null
    this.#heap.noteCancelled()
  }
}

/** A binary heap of calls. Cancelled ones stay in it until they come up or are too many. */
class CallHeap {
  #entries: ScheduledCall[] = []
  #order = 0
  #cancelled = 0

  /** Calls that were not cancelled. */
  get size(): number {
    return this.#entries.length - this.#cancelled
  }

  add(atMs: number, callback: () => void): ScheduledCall {
    const call = new ScheduledCall(atMs, this.#order++, this, callback)
    this.#entries.push(call)
    this.#siftUp(this.#entries.length - 1, call)
    return call
  }

  first(): ScheduledCall | undefined {
    let call = this.#entries[0]
    while (call?.isCancelled === true) {
      this.#cancelled--
      this.removeFirst()
      call = this.#entries[0]
    }
    return call
  }

  removeFirst(): void {
    const last = this.#entries.pop()
    if (last !== undefined && this.#entries.length > 0) this.#siftDown(0, last)
  }

  /** Time-outs are mostly taken back, so without this the far ones would pile up. */
  noteCancelled(): void {
    this.#cancelled++
    if (this.#cancelled < MIN_CANCELLED || this.#cancelled * 2 < this.#entries.length) return
    this.#entries = this.#entries.filter((call) => !call.isCancelled)
    this.#cancelled = 0
    for (let index = (this.#entries.length >> 1) - 1; index >= 0; index--) {
      this.#siftDown(index, this.#entries[index]!)
    }
  }

  #siftUp(from: number, call: ScheduledCall): void {
    const entries = this.#entries
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(call, entries[parent]!)) break
      entries[index] = entries[parent]!
      index = parent
    }
    entries[index] = call
  }

  #siftDown(from: number, call: ScheduledCall): void {
    const entries = this.#entries
    const { length } = entries
    let index = from
    for (let child = 2 * index + 1; child < length; child = 2 * index + 1) {
      if (child + 1 < length && isBefore(entries[child + 1]!, entries[child]!)) child++
      if (!isBefore(entries[child]!, call)) break
      entries[index] = entries[child]!
      index = child
    }
    entries[index] = call
  }
}

/** Calls at one instant run in the order in which they were scheduled. */
function isBefore(one: ScheduledCall, other: ScheduledCall): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
}

/** 2026-01-01T00:00:00Z. */
const DEFAULT_START_MS = 1_767_225_600_000
/** Fewer cancelled calls than this are not worth a walk over the heap. */
const MIN_CANCELLED = 64
