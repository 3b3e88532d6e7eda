/** A YAML file that remembers where each of its values stands. */
import { closeSync, openSync, readSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Document, LineCounter, ParsedNode } from 'yaml'
import { ProxyError, describeThrown } from '../error/index.js'
import { describeValue, formatPath, throwProblems } from './config-problem.js'
import type { ConfigProblem } from './config-problem.js'
import { yaml } from './lazy-packages.js'

/** A parsed file: its top-level mapping, and the place of everything in it. */
export class ConfigDocument {
  /** The file's name as messages show it. */
  readonly file: string
  /** What paths in the file are relative to. */
  readonly directory: string
  /** The top-level mapping as plain data; empty for an empty file. */
  readonly value: Readonly<Record<string, unknown>>
  readonly #document: Document.Parsed
  readonly #lines: LineCounter

  /**
   * Parses YAML 1.2 text of at most 1 MiB with at most 100 uses of aliases.
   * @param file name for messages; paths are relative to its folder. Default: none, so that paths
   * are relative to the working directory.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` with every syntax error and its place.
   */
  constructor(text: string, file?: string) {
    this.file = file ?? '<configuration>'
    this.directory = resolve(file === undefined ? '.' : dirname(file))
    if (text.length > MAX_FILE_BYTES) throw tooLarge(this.file)
    this.#lines = new (yaml().LineCounter)()
    this.#document = parseSyntax(text, this.file, this.#lines)
    const problems = [...this.#document.errors, ...this.#document.warnings].map((error) =>
      this.#problemAt(error.pos[0], error.message),
    )
    throwProblems(problems)
    this.value = this.#topLevel()
  }

  /**
   * Reads and parses a file.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID`, also when the file cannot be read.
   */
  static load(path: string): ConfigDocument {
    return new ConfigDocument(readText(path), path)
  }

  /** A path of the file as an absolute one. */
  resolvePath(path: string): string {
    return resolve(this.directory, path)
  }

  /**
   * A problem at the value of `path`, or at the nearest mapping or list around it that exists.
   * @param at `key` points at the last key instead of its value.
   */
  problem(
    path: readonly PropertyKey[],
    text: string,
    at: 'key' | 'value' = 'value',
  ): ConfigProblem {
    const where = formatPath(path)
    return this.#problemAt(this.#offsetOf(path, at), where === '' ? text : `${where}: ${text}`)
  }

  #problemAt(offset: number, text: string): ConfigProblem {
    const { line, col } = this.#lines.linePos(offset)
    return { line, column: col, text: `${this.file}:${line}:${col}: ${text}` }
  }

  #offsetOf(path: readonly PropertyKey[], at: 'key' | 'value'): number {
    const { isAlias, isMap, isScalar, isSeq } = yaml()
    let node: ParsedNode | null = this.#document.contents
    let offset = node?.range[0] ?? 0
    for (const [depth, part] of path.entries()) {
      // Aliases are followed, so that the place is where the value is written.
      if (isAlias(node)) node = (node.resolve(this.#document) as ParsedNode | undefined) ?? null
      if (isMap<ParsedNode, ParsedNode | null>(node)) {
        const pair = node.items.find(
          ({ key }) => isScalar(key) && String(key.value) === String(part),
        )
        if (!pair) return offset
        if (at === 'key' && depth === path.length - 1) return pair.key.range[0]
        node = pair.value
        offset = node?.range[0] ?? pair.key.range[0]
      } else if (isSeq<ParsedNode>(node)) {
        node = node.items[Number(part)] ?? null
        offset = node?.range[0] ?? offset
      } else {
        return offset
      }
    }
    return offset
  }

  #topLevel(): Record<string, unknown> {
    const value = toPlain(this.#document, this.file)
    if (value === null || value === undefined) return {}
    if (typeof value !== 'object' || Array.isArray(value)) {
      throwProblems([this.problem([], `got ${describeValue(value)}; expected a mapping of keys`)])
    }
    return value as Record<string, unknown>
  }
}

function parseSyntax(text: string, file: string, lineCounter: LineCounter): Document.Parsed {
  try {
    return yaml().parseDocument(text, { lineCounter, prettyErrors: false, version: '1.2' })
  } catch (thrown) {
    // The parser recurses, so thousands of nested brackets end in a stack overflow.
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${file}:1:1: ${describeThrown(thrown)}`, {
      cause: thrown,
    })
  }
}

function toPlain(document: Document.Parsed, file: string): unknown {
  try {
    // Nested aliases multiply: a few lines could otherwise stand for gigabytes.
    return document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (thrown) {
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${file}:1:1: ${describeThrown(thrown)}`, {
      cause: thrown,
    })
  }
}

/** Read in bounded steps: the path may be a pipe, or a device that never ends. */
function readText(path: string): string {
  const buffer = Buffer.allocUnsafe(MAX_FILE_BYTES + 1)
  let length = 0
  try {
    const descriptor = openSync(path, 'r')
    try {
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = readSync(descriptor, buffer, length, buffer.length - length, null)
      }
    } finally {
      closeSync(descriptor)
    }
  } catch (thrown) {
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${path}: ${readFailure(thrown)}`, {
      cause: thrown,
    })
  }
  if (length > MAX_FILE_BYTES) throw tooLarge(path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length))
  } catch (thrown) {
    throw new ProxyError('PGR_CONFIGURATION_INVALID', `${path}: not UTF-8 text`, { cause: thrown })
  }
}

/** Why a file could not be read, without repeating its path. */
export function readFailure(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
  const known = READ_FAILURES.get(code)
  return `cannot be read: ${known ?? describeThrown(thrown)}`
}

function tooLarge(file: string): ProxyError {
  return new ProxyError(
    'PGR_CONFIGURATION_INVALID',
    `${file}: larger than 1 MiB; too large for a configuration`,
  )
}

const MAX_FILE_BYTES = 1024 * 1024
const MAX_ALIASES = 100
const READ_FAILURES: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file'],
  ['EACCES', 'permission denied'],
  ['EISDIR', 'it is a directory'],
  ['ENOTDIR', 'a part of its path is not a directory'],
])
