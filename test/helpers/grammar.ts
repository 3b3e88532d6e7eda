/** RFC 9112 as regular expressions: an independent reader that is slow, plain and never lenient. */

/** A message that the grammar allows. */
export interface GrammarMessage {
  /** Where it ends in the text. */
  readonly end: number
  readonly start: string
  /** Name in lower case, value without the blanks around it. */
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
}

/** Reads the message at `from`, or `null` when the grammar does not allow one there. */
export function readByGrammar(
  text: string,
  from: number,
  bodyOf: (start: string) => 'framed' | 'none',
): GrammarMessage | null {
  const head = match(HEAD, text, from)
  if (head === null) return null
  const [, start = '', section = ''] = head
  const fields = section
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => readField(line))
  const at = from + head[0].length
  if (bodyOf(start) === 'none') return { end: at, start, fields, body: '' }

  const values = (name: string): string[] =>
    fields.filter(([key]) => key === name).map(([, value]) => value)
  if (values('transfer-encoding').length > 0) return readChunked(text, at, start, fields)
  const [length] = values('content-length')
  const isOpen = length === undefined && start.startsWith('HTTP/')
  const end = isOpen ? text.length : at + Number(length ?? 0)
  return end > text.length ? null : { end, start, fields, body: text.slice(at, end) }
}

function readChunked(
  text: string,
  from: number,
  start: string,
  fields: GrammarMessage['fields'],
): GrammarMessage | null {
  let body = ''
  let at = from
  for (;;) {
    const line = match(CHUNK_LINE, text, at)
    if (line === null) return null
    at += line[0].length
    const size = Number.parseInt(line[1]!, 16)
    if (size === 0) break
    body += text.slice(at, at + size)
    at += size
    if (!text.startsWith('\r\n', at)) return null
    at += 2
  }
  const trailers = match(TRAILERS, text, at)
  return trailers === null ? null : { end: at + trailers[0].length, start, fields, body }
}

function readField(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '')]
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const VALUE = '[\\t\\x20-\\x7e\\x80-\\xff]*'
const FIELDS = `(?:${TOKEN}:${VALUE}\\r\\n)*`
const REQUEST_LINE = `${TOKEN} [\\x21-\\x7e\\x80-\\xff]+ HTTP/1\\.[01]`
const STATUS_LINE = `HTTP/1\\.[01] [1-9][0-9]{2}(?: ${VALUE})?`
const HEAD = new RegExp(
  `(?:\\r\\n){0,4}(${REQUEST_LINE}|${STATUS_LINE})\\r\\n(${FIELDS})\\r\\n`,
  'y',
)
const CHUNK_LINE = new RegExp(`([0-9A-Fa-f]+)(?:;${VALUE})?\\r\\n`, 'y')
const TRAILERS = new RegExp(`${FIELDS}\\r\\n`, 'y')
