/** The fields of one message: names keep their case, fields keep their order, lookups ignore case. */
import { ProxyError } from '../error/index.js'
import { COMMON_FIELD_NAMES } from './common-field-names.js'

/** The first values of the fields that are asked for in every message, by lower-case name. */
export interface KnownFields {
  /** Content-Length. */
  readonly 'content-length': string | undefined
  /** Date. */
  readonly date: string | undefined
  /** Host. */
  readonly host: string | undefined
}

/**
 * Header fields as they stand on the wire. Values are latin1: one character per byte, so that
 * obs-text (RFC 9110 §5.5) passes through unchanged. Lookups are linear; heads are short.
 */
export class HeaderMap {
  /** Flat triples: name as written, name in lower case, value; `null` while only the lines are known. */
  #list: string[] | null = null
  /** The field lines as text, where they are known: most messages pass without a look at their fields. */
  #lines: string | null = ''
  /** What is known without reading the lines. */
  #known: KnownFields = NOTHING_KNOWN

  /** How many field lines there are. */
  get size(): number {
    return this.#fields.length / 3
  }

  /** The value of the first field called `name`, or `undefined`. */
  get(name: string): string | undefined {
    const index = this.#find(lowerCaseName(name), 0)
    return index < 0 ? undefined : this.#fields[index + 2]
  }

  /** The values of all fields called `name`, in order. */
  getAll(name: string): string[] {
    const key = lowerCaseName(name)
    const values: string[] = []
    for (let i = this.#find(key, 0); i >= 0; i = this.#find(key, i + 3)) {
      values.push(this.#fields[i + 2]!)
    }
    return values
  }

  /** Whether there is a field called `name`. */
  has(name: string): boolean {
    return this.#find(lowerCaseName(name), 0) >= 0
  }

  /**
   * Makes `value` the only value of `name`: in the place of the first field of that name, else last.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when name or value cannot stand in a header.
   */
  set(name: string, value: string): void {
    const key = checkedKey(name)
    checkValue(name, value)
    const first = this.#find(key, 0)
    this.#lines = null
    if (first < 0) {
      this.#fields.push(name, key, value)
      return
    }
    this.#fields[first] = name
    this.#fields[first + 2] = value
    this.#removeFrom(key, first + 3)
  }

  /**
   * Adds a field after the others.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when name or value cannot stand in a header.
   */
  append(name: string, value: string): void {
    const key = checkedKey(name)
    checkValue(name, value)
    if (SINGLE.has(key) && this.#find(key, 0) >= 0) {
      throw new ProxyError('PGR_OPTION_INVALID', `${name} can stand in a head only once: set it`)
    }
    this.#fields.push(name, key, value)
    this.#lines = null
  }

  /** Removes all fields called `name`; returns whether there was one. */
  remove(name: string): boolean {
    return this.#removeFrom(lowerCaseName(name), 0)
  }

  /** The fields as `[name, value]`, in order, names as written. */
  *entries(): IterableIterator<[string, string]> {
    for (let i = 0; i < this.#fields.length; i += 3) {
      yield [this.#fields[i]!, this.#fields[i + 2]!]
    }
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }

  /** A copy that can be changed alone. */
  clone(): HeaderMap {
    const copy = new HeaderMap()
    copy.#list = this.#list?.slice() ?? null
    copy.#lines = this.#lines
    copy.#known = this.#known
    return copy
  }

  /** Adds a field that needs no check; `key` is `name` in lower case. */
  appendChecked(name: string, key: string, value: string): void {
    if (this.#lines !== null) this.#lines += `${name}: ${value}\r\n`
    if (this.#list !== null) this.#list.push(name, key, value)
    else if (isKnown(key)) this.#known = { ...this.#known, [key]: value }
  }

  /**
   * Makes a map of checked field lines, each `NAME: VALUE` and CRLF, which are only read when
   * somebody asks for more than `known` tells; `known` must not change afterwards.
   */
  static fromLines(lines: string, known: KnownFields): HeaderMap {
    const map = new HeaderMap()
    map.#lines = lines
    map.#known = known
    return map
  }

  /** Whether no field has been changed or removed since a parser made the map. */
  get isAsParsed(): boolean {
    return this.#lines !== null
  }

  /** The value of the first field whose lower-case name is `key`. For hot paths. */
  getByKey(key: string): string | undefined {
    if (this.#list === null && isKnown(key)) return this.#known[key]
    const index = this.#find(key, 0)
    return index < 0 ? undefined : this.#fields[index + 2]
  }

  /** The field lines as HTTP/1 writes them, each with its CRLF. */
  toLines(): string {
    if (this.#lines !== null) return this.#lines
    const fields = this.#fields
    let lines = ''
    for (let i = 0; i < fields.length; i += 3) {
      lines += fields[i]! + ': ' + fields[i + 2]! + '\r\n'
    }
    return lines
  }

  get #fields(): string[] {
    this.#list ??= readLines(this.#lines ?? '')
    return this.#list
  }

  #find(key: string, from: number): number {
    const fields = this.#fields
    for (let i = from; i < fields.length; i += 3) {
      if (fields[i + 1] === key) return i
    }
    return -1
  }

  #removeFrom(key: string, from: number): boolean {
    let found = false
    for (let i = this.#find(key, from); i >= 0; i = this.#find(key, i)) {
      this.#fields.splice(i, 3)
      this.#lines = null
      found = true
    }
    return found
  }
}

function isKnown(key: string): key is keyof KnownFields {
  return key === 'content-length' || key === 'date' || key === 'host'
}

function readLines(lines: string): string[] {
  const fields: string[] = []
  for (let at = 0; at < lines.length;) {
    const colon = lines.indexOf(': ', at)
    const end = lines.indexOf('\r\n', colon)
    const name = lines.slice(at, colon)
    fields.push(name, lowerCaseName(name), lines.slice(colon + 2, end))
    at = end + 2
  }
  return fields
}

/** `name` in lower case; names that are seen often cost one map lookup. */
export function lowerCaseName(name: string): string {
  return COMMON_NAMES.get(name) ?? name.toLowerCase()
}

/** Whether `text` is a token (RFC 9110 §5.6.2): what methods and field names are made of. */
export function isToken(text: string): boolean {
  return TOKEN.test(text)
}

/** Whether `text` may be a field value (RFC 9110 §5.5), each character one byte. */
export function isFieldValue(text: string): boolean {
  return !NOT_IN_VALUE.test(text)
}

/** `name` in lower case, if a hook may write it: no typing error may become a line or another framing. */
function checkedKey(name: string): string {
  return SETTABLE_NAMES.get(name) ?? checkName(name)
}

function checkName(name: string): string {
  if (!isToken(name)) {
    throw new ProxyError('PGR_OPTION_INVALID', `not a header name: ${JSON.stringify(name)}`)
  }
  const key = name.toLowerCase()
  if (!OF_THE_CONNECTION.has(key)) return key
  throw new ProxyError(
    'PGR_OPTION_INVALID',
    `${name} belongs to the connection, not to the message`,
  )
}

function checkValue(name: string, value: string): void {
  if (typeof value !== 'string' || NOT_IN_VALUE.test(value)) {
    throw new ProxyError('PGR_OPTION_INVALID', `header ${name}: the value cannot stand in a header`)
  }
}

/** Written by the connection itself, as the framing and the life of each connection ask for. */
const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
/** Fields whose repetition makes a message mean different things to different readers. */
const SINGLE: ReadonlySet<string> = new Set(['content-length', 'host'])
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Controls but TAB, and all that is not one latin1 byte. */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

const NOTHING_KNOWN: KnownFields = Object.freeze({
  'content-length': undefined,
  date: undefined,
  host: undefined,
})
const COMMON_NAMES: ReadonlyMap<string, string> = new Map(
  COMMON_FIELD_NAMES.flatMap((name) => {
    const key = internalized(name.toLowerCase())
    return [
      [name, key],
      [key, key],
    ]
  }),
)
/** Common names that need no check. */
const SETTABLE_NAMES: ReadonlyMap<string, string> = new Map(
  [...COMMON_NAMES].filter(([, key]) => !OF_THE_CONNECTION.has(key)),
)

/** The same text as a property name, which V8 compares with literals by its address alone. */
function internalized(text: string): string {
  return Object.keys({ [text]: true })[0] ?? text
}
