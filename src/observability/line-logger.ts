/** A logger for people: one readable line per entry, such as on a terminal. */
import type { Clock } from '../time/index.js'
import { levelRank } from './log-level.js'
import type { LogFields, LogLevel, Logger } from './logger.js'

/** Where and from which level a {@link LineLogger} writes. */
export interface LineLoggerOptions {
  /** Lines below it are not written. */
  readonly level: LogLevel
  /** Takes whole lines with their line feed, such as `process.stderr`; must have an error listener. */
  readonly destination: { write(text: string): unknown }
  /** Gives the time of each line. */
  readonly clock: Pick<Clock, 'wallMs'>
}

/**
 * Writes `2026-01-01T00:00:00.000Z INFO  message key=value`. An entry is always one line: control
 * characters are escaped, because names, paths and bytes of peers may stand in a message.
 */
export class LineLogger implements Logger {
  readonly level: LogLevel
  readonly #rank: number
  readonly #destination: LineLoggerOptions['destination']
  readonly #clock: Pick<Clock, 'wallMs'>

  constructor(options: LineLoggerOptions) {
    this.level = options.level
    this.#rank = levelRank(options.level)
    this.#destination = options.destination
    this.#clock = options.clock
  }

  trace(message: string, fields?: LogFields): void {
    this.#write('trace', message, fields)
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields)
  }

  #write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (levelRank(level) < this.#rank) return
    let line = `${new Date(this.#clock.wallMs()).toISOString()} ${level.toUpperCase().padEnd(5)} ${message}`
    for (const [key, value] of Object.entries(fields)) {
      if (value !== undefined) line += ` ${key}=${fieldText(value)}`
    }
    this.#destination.write(`${escapeControls(line)}\n`)
  }
}

/** Text with spaces or quotes is quoted, so that fields stay apart. */
function fieldText(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value)
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
}

function escapeControls(text: string): string {
  return text.replace(CONTROLS, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

// Terminals act on C0, DEL and C1 characters; a line feed would forge an entry.

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g
