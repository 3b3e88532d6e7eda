/** `ForwardingLogger`: a worker's log, which the main thread writes. */
import { LOG_LEVELS } from '../../observability/index.js'
import type { LogFields, LogLevel, Logger } from '../../observability/index.js'

/** One entry on its way. */
export interface LogEntry {
  readonly level: Exclude<LogLevel, 'silent'>
  readonly message: string
  readonly fields: LogFields | undefined
}

/** Hands entries on, so that one thread alone writes to a log and opens it anew. */
export class ForwardingLogger implements Logger {
  readonly level: LogLevel
  readonly #rank: number
  readonly #write: (entry: LogEntry) => void

  /** @param level entries below it are not handed on. */
  constructor(level: LogLevel, write: (entry: LogEntry) => void) {
    this.level = level
    this.#rank = LOG_LEVELS.indexOf(level)
    this.#write = write
  }

  trace(message: string, fields?: LogFields): void {
    this.#log('trace', message, fields)
  }

  debug(message: string, fields?: LogFields): void {
    this.#log('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    this.#log('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    this.#log('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    this.#log('error', message, fields)
  }

  #log(level: LogEntry['level'], message: string, fields: LogFields | undefined): void {
    if (LOG_LEVELS.indexOf(level) >= this.#rank) this.#write({ level, message, fields })
  }
}
