/** The log of a fake world: lines as data, with the virtual time of each. */
import type { LogFields, LogLevel, Logger } from '../observability/index.js'

/** One line of the log. */
export interface LogRecord {
  /** Virtual time, in the clock's ms. */
  readonly atMs: number
  /** How serious it is. */
  readonly level: Exclude<LogLevel, 'silent'>
  /** What was said. */
  readonly message: string
  /** Facts beside it; empty when there were none. */
  readonly fields: LogFields
}

/** Gives every line, of all levels, with its time, to `write`. */
export class WorldLogger implements Logger {
  readonly level: LogLevel = 'trace'
  readonly #nowMs: () => number
  readonly #write: (record: LogRecord) => void

  constructor(nowMs: () => number, write: (record: LogRecord) => void) {
    this.#nowMs = nowMs
    this.#write = write
  }

  trace(message: string, fields: LogFields = NO_FIELDS): void {
    this.#write({ atMs: this.#nowMs(), level: 'trace', message, fields })
  }

  debug(message: string, fields: LogFields = NO_FIELDS): void {
    this.#write({ atMs: this.#nowMs(), level: 'debug', message, fields })
  }

  info(message: string, fields: LogFields = NO_FIELDS): void {
    this.#write({ atMs: this.#nowMs(), level: 'info', message, fields })
  }

  warn(message: string, fields: LogFields = NO_FIELDS): void {
    this.#write({ atMs: this.#nowMs(), level: 'warn', message, fields })
  }

  error(message: string, fields: LogFields = NO_FIELDS): void {
    this.#write({ atMs: this.#nowMs(), level: 'error', message, fields })
  }
}

/** One line as text, without its time: `warn no backend peer=10.0.0.1:80`. */
export function logText({ level, message, fields }: LogRecord): string {
  let text = `${level} ${message}`
  for (const [name, value] of Object.entries(fields)) {
    // A stack names files and lines of this machine: it would make equal runs look different.
    if (value !== undefined && name !== 'stack') text += ` ${name}=${String(value)}`
  }
  return text
}

const NO_FIELDS: LogFields = Object.freeze({})
