/** A logger for machines: one JSON object per line, appended to a file by pino. */
import { createRequire } from 'node:module'
import { AppendFile } from './append-file.js'
import type { LogFields, LogLevel, Logger } from './logger.js'

/** A {@link Logger} that owns a file. */
export interface FileLogger extends Logger {
  /** Where the file is open; another number after {@link FileLogger.reopen}. */
  readonly descriptor: number
  /**
   * Opens the file anew, after it was moved away for rotation.
   * @throws the system's error when it cannot be opened; then lines go on to the old one.
   */
  reopen(): void
}

/**
 * Appends JSON lines to `path`, each written at once, so that none is lost when the process ends.
 * Once the file is open, a failing write (a full disk) loses lines and never throws.
 * @throws the system's error when the file cannot be opened.
 */
export function pinoFileLogger(path: string, level: LogLevel): FileLogger {
  // Loaded here because it costs 50 ms, and programs that log to a terminal do not need it.
  const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino')
  // Not pino's own destination: after a failed `reopen` it closes a descriptor twice.
  const file = new AppendFile(path)
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, file)
  const write =
    (name: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields: LogFields = {}) => {
      logger[name](fields, message)
    }
  return {
    level,
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    get descriptor() {
      return file.descriptor
    },
    reopen: () => {
      file.reopen()
    },
  }
}
