/** A logger for machines: one JSON object per line, appended to a file by pino. */
import { createRequire } from 'node:module'
import type { LogFields, LogLevel, Logger } from './logger.js'

/** A {@link Logger} that owns a file. */
export interface FileLogger extends Logger {
  /** Opens the file anew, after it was moved away for rotation. */
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
  const destination = pino.destination({ dest: path, append: true, sync: true })
  destination.on('error', () => {
    // There is no better place left to say so.
  })
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
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
    reopen: () => {
      destination.reopen()
    },
  }
}
