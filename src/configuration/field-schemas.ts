/** Zod types for the fields of configuration files; each says in its error what would be right. */
import type { z } from 'zod'
import { ProxyError } from '../error/index.js'
import { describeValue } from './config-problem.js'
import { zod } from './lazy-packages.js'
import { formatSize, parseDurationMs, parseSizeBytes } from './units.js'

/**
 * A field read by `read`, which returns `undefined` for a value that does not fit, or throws a
 * `ProxyError` whose message says more.
 * @param expected what would be right, such as `an integer from 1 to 10`.
 */
export function field<T>(expected: string, read: (value: unknown) => T | undefined): z.ZodType<T> {
  const z = zod()
  return z.unknown().transform((value, context): T => {
    let message: string
    try {
      const result = read(value)
      if (result !== undefined) return result
      message =
        value === undefined
          ? `missing; expected ${expected}`
          : `got ${describeValue(value)}; expected ${expected}`
    } catch (thrown) {
      if (!(thrown instanceof ProxyError)) throw thrown
      message = thrown.message
    }
    context.issues.push({ code: 'custom', input: value, message })
    return z.NEVER
  })
}

/** Text that is not empty. */
export function textField(expected: string = 'text'): z.ZodType<string> {
  return field(expected, (value) => (typeof value === 'string' && value !== '' ? value : undefined))
}

/** `true` or `false`. */
export function booleanField(): z.ZodType<boolean> {
  return field('true or false', (value) => (typeof value === 'boolean' ? value : undefined))
}

/** An integer from `min` to `max`. */
export function integerField(min: number, max: number): z.ZodType<number> {
  return field(`an integer from ${min} to ${max}`, (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number)
      : undefined,
  )
}

/** A duration with its unit, as ms; at least `minMs` and at most 24 days. */
export function durationField(minMs: number = 0): z.ZodType<number> {
  const atLeast = minMs > 0 ? ` of at least ${minMs}ms` : ''
  return field(`a duration with its unit${atLeast}, such as 1s, 500ms or 2m`, (value) => {
    const ms = typeof value === 'string' ? parseDurationMs(value) : undefined
    return ms !== undefined && ms >= minMs && ms <= MAX_DURATION_MS ? ms : undefined
  })
}

/** For keys that end in `_seconds`: a plain number of seconds, or a duration with its unit. */
export function secondsField(minSeconds: number = 0): z.ZodType<number> {
  return field(`seconds as a number from ${minSeconds}, or a duration such as 30s`, (value) => {
    const ms = typeof value === 'string' ? parseDurationMs(value) : undefined
    const seconds = ms === undefined ? value : ms / 1000
    const fits =
      typeof seconds === 'number' && seconds >= minSeconds && seconds * 1000 <= MAX_DURATION_MS
    return fits ? seconds : undefined
  })
}

/** A size such as `64kb` or `10mb`, or plain bytes, from `minBytes` to `maxBytes`; as bytes. */
export function sizeField(minBytes: number, maxBytes: number): z.ZodType<number> {
  const range = `from ${formatSize(minBytes)} to ${formatSize(maxBytes)}`
  return field(`a size ${range}, such as 64kb or a number of bytes`, (value) => {
    const bytes = typeof value === 'string' ? parseSizeBytes(value) : value
    const fits =
      typeof bytes === 'number' && Number.isInteger(bytes) && bytes >= minBytes && bytes <= maxBytes
    return fits ? bytes : undefined
  })
}

/**
 * One of a few words.
 * @param later words, or numbers as text, that the product will know and does not yet.
 */
export function choiceField<T extends string>(
  words: readonly T[],
  later: readonly string[] = [],
): z.ZodType<T> {
  const expected = words.length === 1 ? words[0]! : `one of ${words.join(', ')}`
  return field(expected, (value) => {
    if (later.some((word) => word === value || word === describeValue(value))) {
      throw notAvailable(`${describeValue(value)}: not available yet; expected ${expected}`)
    }
    return words.find((word) => word === value)
  })
}

/** A switch of which only one position exists today. */
export function fixedField(fixed: boolean): z.ZodType<boolean> {
  return field(String(fixed), (value) => {
    if (value === !fixed) {
      throw notAvailable(`${String(value)}: not available yet; expected ${String(fixed)}`)
    }
    return value === fixed ? fixed : undefined
  })
}

/** A key whose feature is not built yet; leaving it out is right. */
export function notYetField(): z.ZodOptional<z.ZodType<never>> {
  return field<never>('', () => {
    throw notAvailable('not available yet; leave it out')
  }).optional()
}

/** The message of a feature to come. */
function notAvailable(message: string): ProxyError {
  return new ProxyError('PGR_NOT_AVAILABLE', message)
}

/** What a timer of Node can hold. */
const MAX_DURATION_MS = 0x7fffffff
