/** Reads the head of an HTTP/1 message by the grammar of RFC 9112, for the judge that tests use. */
import { HeaderFields } from './header-fields.js'
import type { MessageFraming } from './raw-message.js'

/** A head as it came, and what it says about the body. */
export interface RawHead {
  /** Without its line end. */
  readonly startLine: string
  /** The field lines without their line ends. */
  readonly lines: readonly string[]
  /** The whole head with its empty line. */
  readonly text: string
  readonly headers: HeaderFields
  readonly framing: MessageFraming
  /** Length of the body when that is the framing, else 0. */
  readonly bodyBytes: number
  /** What is wrong with it; empty when nothing is. */
  readonly fault: string
}

/**
 * Reads a head.
 * @param text from the start line to the empty line, both included.
 * @param method of the request that a response answers; empty for a request.
 */
export function readRawHead(text: string, method: string): RawHead {
  const [startLine = '', ...lines] = text.slice(0, -4).split('\r\n')
  const { headers, fault: fieldFault } = readRawFields(lines)
  const framed = method === '' ? requestFraming(headers) : responseFraming(headers)
  const bodyless = method !== '' && hasNoBody(method, startLine)
  const startLineFault = (method === '' ? REQUEST_LINE : STATUS_LINE).test(startLine)
    ? ''
    : `start line ${shown(startLine)}`
  return {
    startLine,
    lines,
    text,
    headers,
    framing: bodyless ? 'none' : framed.framing,
    bodyBytes: bodyless ? 0 : framed.bodyBytes,
    fault: startLineFault || fieldFault || framed.fault,
  }
}

/** Reads field lines; `fault` says which of them is none, and is empty when all are well. */
export function readRawFields(lines: readonly string[]): { headers: HeaderFields; fault: string } {
  const entries: [string, string][] = []
  let fault = ''
  for (const line of lines) {
    const name = FIELD.exec(line)?.[1]
    if (name === undefined) fault ||= `field line ${shown(line)}`
    else entries.push([name, withoutBlanks(line, name.length + 1)])
  }
  return { headers: new HeaderFields(entries), fault }
}

/** Text from a peer, escaped and short. */
export function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}

interface Framed {
  readonly framing: MessageFraming
  readonly bodyBytes: number
  readonly fault: string
}

function requestFraming(headers: HeaderFields): Framed {
  return statedFraming(headers) ?? { framing: 'none', bodyBytes: 0, fault: '' }
}

function responseFraming(headers: HeaderFields): Framed {
  return statedFraming(headers) ?? { framing: 'close', bodyBytes: 0, fault: '' }
}

/** What the fields say (RFC 9112 §6): each field at most once, and never both. */
function statedFraming(headers: HeaderFields): Framed | null {
  const codings = headers.getAll('Transfer-Encoding')
  const lengths = headers.getAll('Content-Length')
  const [length = ''] = lengths
  let fault = ''
  if (codings.length + lengths.length > 1) fault = 'more than one field that frames the body'
  else if (codings.length > 0 && codings[0]?.toLowerCase() !== 'chunked') {
    fault = `Transfer-Encoding ${shown(codings[0] ?? '')}`
  } else if (lengths.length > 0 && !LENGTH.test(length)) fault = `Content-Length ${shown(length)}`
  if (codings.length > 0) return { framing: 'chunked', bodyBytes: 0, fault }
  if (lengths.length > 0) return { framing: 'length', bodyBytes: Number(length), fault }
  return null
}

/** RFC 9112 §6.3, 1 and 2. */
function hasNoBody(method: string, startLine: string): boolean {
  const status = Number(startLine.slice(9, 12))
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return true
  return method === 'CONNECT' && status < 300
}

/** No regular expression: one that trims would take quadratic time on a line of blanks. */
function withoutBlanks(line: string, from: number): string {
  let [start, end] = [from, line.length]
  while (start < end && isBlank(line[start])) start++
  while (end > start && isBlank(line[end - 1])) end--
  return line.slice(start, end)
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const TEXT = '[\\t\\x20-\\x7e\\x80-\\xff]*'
const REQUEST_LINE = new RegExp(`^${TOKEN} [\\x21-\\x7e\\x80-\\xff]+ HTTP/1\\.[01]$`)
const STATUS_LINE = new RegExp(`^HTTP/1\\.[01] [1-9][0-9]{2}(?: ${TEXT})?$`)
const FIELD = new RegExp(`^(${TOKEN}):${TEXT}$`)
/** Up to 15 digits: what a number holds exactly. */
const LENGTH = /^\d{1,15}$/
const MAX_SHOWN = 120
