/** The fields of one message: names keep their case, fields keep their order, lookups ignore case. */
import { ProxyError } from '../error/index.js'
import { COMMON_FIELD_NAMES } from './common-field-names.js'

/** What is asked of the fields of every message, for those who make a map of lines to say beforehand. */
export interface KnownFields {
  /** The value of the first Content-Length. */
  readonly contentLength: string | undefined
  /** Whether there is a Date. */
  readonly hasDate: boolean
  /** The value of the first Host. */
  readonly host: string | undefined
  /** Where its line starts in the lines; -1 unless there is exactly one. */
  readonly hostAt: number
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
  // As in `KnownFields`; they hold while only the lines are known.
  #contentLength: string | undefined = undefined
  #hasDate = false
  #host: string | undefined = undefined
  #hostAt = -1

  /** How many field lines there are. */
  get size(): number {
    return this.#fields().length / 3
  }

  /** The value of the first field called `name`, or `undefined`. */
  get(name: string): string | undefined {
    return this.#first(lowerCaseName(name))
  }

  /** The values of all fields called `name`, in order. */
  getAll(name: string): string[] {
    const key = lowerCaseName(name)
    const fields = this.#fields()
    const values: string[] = []
    for (let i = this.#find(key, 0); i >= 0; i = this.#find(key, i + 3)) {
      values.push(fields[i + 2]!)
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
    if (key === 'host' && this.#replaceHostLine(name, value)) return
    const fields = this.#fields()
    const first = this.#find(key, 0)
    this.#lines = null
    if (first < 0) {
      fields.push(name, key, value)
      return
    }
    fields[first] = name
    fields[first + 2] = value
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
    this.#fields().push(name, key, value)
    this.#lines = null
  }

  /** Removes all fields called `name`; returns whether there was one. */
  remove(name: string): boolean {
    return this.#removeFrom(lowerCaseName(name), 0)
  }

  /** The fields as `[name, value]`, in order, names as written. */
  *entries(): IterableIterator<[string, string]> {
    const fields = this.#fields()
    for (let i = 0; i < fields.length; i += 3) yield [fields[i]!, fields[i + 2]!]
  }

  /** Calls `visit` for each field, in order, with its name in lower case. */
  forEach(visit: (key: string, value: string) => void): void {
    const fields = this.#fields()
    for (let i = 0; i < fields.length; i += 3) visit(fields[i + 1]!, fields[i + 2]!)
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries()
  }

  /** A copy that can be changed alone. */
  clone(): HeaderMap {
    const copy = new HeaderMap()
    copy.#list = this.#list?.slice() ?? null
    copy.#lines = this.#lines
    copy.#takeKnown(this.#contentLength, this.#hasDate, this.#host, this.#hostAt)
    return copy
  }

  /** Adds a Date with a value that needs no check to fields without one. */
  addDate(value: string): void {
    if (this.#lines !== null) this.#lines += `Date: ${value}\r\n`
    if (this.#list !== null) this.#list.push('Date', 'date', value)
    this.#hasDate = true
  }

  /**
   * Makes a map of checked field lines, each `NAME: VALUE` and CRLF, which are only read when
   * somebody asks for more than `known` tells.
   */
  static fromLines(lines: string, known: KnownFields): HeaderMap {
    const map = new HeaderMap()
    map.#lines = lines
    map.#takeKnown(known.contentLength, known.hasDate, known.host, known.hostAt)
    return map
  }

  /** Whether no field but Host has been changed or removed since a parser made the map. */
  get isAsParsed(): boolean {
    return this.#lines !== null
  }

  /** The value of Content-Length, or `undefined`; as `get`, without a search where it is known. */
  get contentLength(): string | undefined {
    return this.#list === null ? this.#contentLength : this.#first('content-length')
  }

  /** The value of Host, or `undefined`; as `get`, without a search where it is known. */
  get host(): string | undefined {
    return this.#list === null ? this.#host : this.#first('host')
  }

  /** Whether there is a Date; as `has`, without a search where it is known. */
  get hasDate(): boolean {
    return this.#list === null ? this.#hasDate : this.#find('date', 0) >= 0
  }

  /** The field lines as HTTP/1 writes them, each with its CRLF. */
  toLines(): string {
    if (this.#lines !== null) return this.#lines
    const fields = this.#fields()
    let lines = ''
    for (let i = 0; i < fields.length; i += 3) {
      lines += fields[i]! + ': ' + fields[i + 2]! + '\r\n'
    }
    return lines
  }

  #fields(): string[] {
    this.#list ??= readLines(this.#lines ?? '')
    return this.#list
  }

  #first(key: string): string | undefined {
    const index = this.#find(key, 0)
    return index < 0 ? undefined : this.#fields()[index + 2]
  }

  #find(key: string, from: number): number {
    const fields = this.#fields()
    for (let i = from; i < fields.length; i += 3) {
      if (fields[i + 1] === key) return i
    }
    return -1
  }

  #takeKnown(
    contentLength: string | undefined,
    hasDate: boolean,
    host: string | undefined,
    hostAt: number,
  ): void {
    this.#contentLength = contentLength
    this.#hasDate = hasDate
    this.#host = host
    this.#hostAt = hostAt
  }

  /** Most proxies set Host in every request: while only the lines are known, they stay unread. */
  #replaceHostLine(name: string, value: string): boolean {
    const at = this.#hostAt
    const lines = this.#lines
    const host = this.#host
    if (this.#list !== null || at < 0 || lines === null || host === undefined) return false
    const end = at + 'Host: '.length + host.length + '\r\n'.length
    this.#lines = `${lines.slice(0, at)}${name}: ${value}\r\n${lines.slice(end)}`
    this.#host = value
    return true
  }

  #removeFrom(key: string, from: number): boolean {
    let found = false
    for (let i = this.#find(key, from); i >= 0; i = this.#find(key, i)) {
      this.#fields().splice(i, 3)
      this.#lines = null
      found = true
    }
    return found
  }
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
