/** A clock that moves only when told, for tests. */
import type { Clock, Timer } from './clock.js'

interface Scheduled {
  readonly atMs: number
  readonly order: number
  readonly callback: () => void
}

/** Time that stands still until `advance` is called. */
export class ManualClock implements Clock {
  #nowMs = 0
  #order = 0
  readonly #startWallMs: number
  readonly #pending = new Set<Scheduled>()

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
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#pending.add(entry)
    return {
      cancel: () => {
        this.#pending.delete(entry)
      },
    }
  }

  /** Moves time on by `ms` and runs every call that falls due, in order of time, then of schedule. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    for (let next = this.#next(); next && next.atMs <= endMs; next = this.#next()) {
      this.#pending.delete(next)
      this.#nowMs = next.atMs
      next.callback()
    }
    this.#nowMs = endMs
  }

  /** Calls that are scheduled and have not run. */
  get pending(): number {
    return this.#pending.size
  }

  #next(): Scheduled | undefined {
    let first: Scheduled | undefined
    for (const entry of this.#pending) {
      if (
        !first ||
        entry.atMs < first.atMs ||
        (entry.atMs === first.atMs && entry.order < first.order)
      ) {
        first = entry
      }
    }
    return first
  }
}

/** 2026-01-01T00:00:00Z. */
const DEFAULT_START_MS = 1_767_225_600_000
