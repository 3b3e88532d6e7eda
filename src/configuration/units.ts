/** Durations and sizes as people write them: `500ms`, `1s`, `2m`, `64kb`, `10mb`. */

/**
 * Reads a number with a unit: `ms`, `s`, `m`, `h` or `d`.
 * @returns whole milliseconds, or `undefined` when the text is no such duration.
 */
export function parseDurationMs(text: string): number | undefined {
  return parseWithUnit(text, DURATION_UNITS)
}

/**
 * Reads a number with a unit: `b`, `kb`, `mb` or `gb`, each 1024 of the one before, in any case.
 * @returns whole bytes, or `undefined` when the text is no such size.
 */
export function parseSizeBytes(text: string): number | undefined {
  return parseWithUnit(text.toLowerCase(), SIZE_UNITS)
}

/** Writes bytes with the largest unit of which they are whole: `64kb`. */
export function formatSize(bytes: number): string {
  let text = `${bytes}b`
  for (const [unit, size] of Object.entries(SIZE_UNITS)) {
    if (bytes >= size && bytes % size === 0) text = `${bytes / size}${unit}`
  }
  return text
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = NUMBER_WITH_UNIT.exec(text)
  const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined
  if (!match || unit === undefined) return undefined
  const value = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(value) ? value : undefined
}

const NUMBER_WITH_UNIT = /^(\d{1,15}(?:\.\d{1,9})?) ?([a-z]{1,2})$/
const DURATION_UNITS = Object.freeze({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 })
const SIZE_UNITS = Object.freeze({ b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 })
