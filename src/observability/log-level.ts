/** Reads the log level from what people set: a key of the file, or an environment variable. */
import type { LogLevel } from './logger.js'

/** All levels, from the most to the least talkative. */
export const LOG_LEVELS: readonly LogLevel[] = Object.freeze([
  'trace',
  'debug',
  'info',
  'warn',
  'error',
  'silent',
] as const)

/**
 * Reads a level in any case; `off` and `none` mean silent, `warning` warn. Of a list such as
 * `RUST_LOG=hyper=warn,info` the entry without a module counts.
 * @returns `undefined` when there is none.
 */
export function parseLogLevel(text: string | undefined): LogLevel | undefined {
  for (const entry of (text ?? '').slice(0, MAX_LETTERS).toLowerCase().split(',')) {
    const word = entry.trim()
    const level = LOG_LEVELS.find((known) => known === (SYNONYMS.get(word) ?? word))
    if (level !== undefined) return level
  }
  return undefined
}

/** How far `level` is from the most talkative; lines below a logger's own rank are not written. */
export function levelRank(level: LogLevel): number {
  return LOG_LEVELS.indexOf(level)
}

const MAX_LETTERS = 1024
const SYNONYMS: ReadonlyMap<string, LogLevel> = new Map([
  ['off', 'silent'],
  ['none', 'silent'],
  ['warning', 'warn'],
])
