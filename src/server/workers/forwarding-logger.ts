/** `ForwardingLogger`: a worker's log, which the main thread writes. */
import { LOG_LEVELS } from '../../observability/index.js'
import type { LogFields, LogLevel, Logger } from '../../observability/index.js'

/** One entry on its way. */
export interface LogEntry {
  readonly level: Exclude<LogLevel, 'silent'>
  readonly message: string
  readonly fields: LogFields | undefined
}

/**
 * Hands entries on, so that one thread alone writes to a log and opens it anew. While more than
 * {@link MAX_UNWRITTEN} wait for that thread, further ones are left out, and counted in the log.
 */
export class ForwardingLogger implements Logger {
  readonly level: LogLevel
  readonly #rank: number
  readonly #write: (entry: LogEntry) => void
  readonly #unwritten: Int32Array
  #leftOut = 0

  /**
   * @param level entries below it are not handed on.
   * @param unwritten counts in its first place the entries that are on their way; whoever writes
   * one takes it off.
   */
  constructor(level: LogLevel, unwritten: Int32Array, write: (entry: LogEntry) => void) {
    this.level = level
    this.#rank = LOG_LEVELS.indexOf(level)
    this.#unwritten = unwritten
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
    if (LOG_LEVELS.indexOf(level) < this.#rank) return
    if (Atomics.load(this.#unwritten, 0) >= MAX_UNWRITTEN) {
      this.#leftOut++
      return
    }
    if (this.#leftOut > 0) {
      this.#hand({ level: 'warn', message: LEFT_OUT, fields: { lines: this.#leftOut } })
      this.#leftOut = 0
    }
    this.#hand({ level, message, fields })
  }

  #hand(entry: LogEntry): void {
    Atomics.add(this.#unwritten, 0, 1)
    this.#write(entry)
  }
}

/** So many entries wait for the thread that writes them, at most. */
export const MAX_UNWRITTEN = 4_096
const LEFT_OUT = 'the log could not be written as fast as a worker logged; lines were left out'
