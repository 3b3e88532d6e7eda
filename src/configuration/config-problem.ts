/** Problems of a configuration file: where, what is wrong, and what would be right. */
import { inspect } from 'node:util'
import { ProxyError } from '../error/index.js'

/** One problem at one place. */
export interface ConfigProblem {
  /** Line in the file, from 1. */
  readonly line: number
  /** Column in the line, from 1. */
  readonly column: number
  /** The whole message: `FILE:LINE:COL: path: what is wrong; what would be right`. */
  readonly text: string
}

/**
 * Throws when there is a problem, with one line for each in the order of the file. At most 20 are
 * shown: a file of another kind would otherwise fill the screen.
 * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID`.
 */
export function throwProblems(problems: readonly ConfigProblem[]): void {
  if (problems.length === 0) return
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
  const lines = [...new Set(sorted.map((problem) => problem.text))]
  const shown = lines.slice(0, MAX_SHOWN)
  if (lines.length > MAX_SHOWN) shown.push(`… and ${lines.length - MAX_SHOWN} more`)
  throw new ProxyError('PGR_CONFIGURATION_INVALID', shown.join('\n'))
}

/** A value as it may stand in a message: escaped, short, and without the content of collections. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  const text = typeof value === 'string' ? value : inspect(value)
  const short = text.length > MAX_VALUE_LETTERS ? `${text.slice(0, MAX_VALUE_LETTERS)}…` : text
  return typeof value === 'string' ? JSON.stringify(short) : short
}

/** A path of keys and indexes as text: `listeners[0].tls.cert`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += `${text === '' ? '' : '.'}${formatKey(String(part))}`
  }
  return text
}

/** Plain keys stand as they are; others are quoted, because they may hold anything. */
function formatKey(key: string): string {
  return /^[\w-]{1,64}$/.test(key) ? key : describeValue(key)
}

const MAX_SHOWN = 20
const MAX_VALUE_LETTERS = 60
