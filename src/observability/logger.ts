/** `Logger`: what all parts log to; the implementation is chosen where the program starts. */

/** From the most to the least talkative. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Facts beside a message; never header values of credentials. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

/** Writes log lines. Calls never throw and never wait. */
export interface Logger {
  /** The level from which lines are written. */
  readonly level: LogLevel
  /** Every step; for those who work on this code. */
  trace(message: string, fields?: LogFields): void
  /** What helps to find out why something happens. */
  debug(message: string, fields?: LogFields): void
  /** What an operator likes to know, such as where the server listens. */
  info(message: string, fields?: LogFields): void
  /** What went wrong and was coped with, such as a backend that is down. */
  warn(message: string, fields?: LogFields): void
  /** What went wrong and cost something, such as a request that failed. */
  error(message: string, fields?: LogFields): void
}

/** A logger that writes nothing; the default of every part, so that libraries stay quiet. */
export const SILENT_LOGGER: Logger = {
  level: 'silent',
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
}

function ignore(): void {
  // Nothing is written on purpose.
}
