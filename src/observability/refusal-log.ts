/** `RefusalLog`: log lines about what is refused, which peers can cause as often as they like. */
import type { LogFields, LogLevel, Logger } from './logger.js'

/** Writes at most one line per second, with the number of refusals since the last one. */
export class RefusalLog {
  readonly #logger: Logger
  readonly #nowMs: () => number
  #nextMs = -Infinity
  #refused = 0

  /** @param nowMs tells the time, in ms. */
  constructor(logger: Logger, nowMs: () => number) {
    this.#logger = logger
    this.#nowMs = nowMs
  }

  /** Tells of one refusal; a line has the fields of the one it is written for, and `refused`. */
  add(level: Exclude<LogLevel, 'silent'>, message: string, fields: LogFields): void {
    this.#refused++
    const nowMs = this.#nowMs()
    if (nowMs < this.#nextMs) return
    this.#nextMs = nowMs + LOG_EVERY_MS
    this.#logger[level](message, { ...fields, refused: this.#refused })
    this.#refused = 0
  }
}

const LOG_EVERY_MS = 1_000
