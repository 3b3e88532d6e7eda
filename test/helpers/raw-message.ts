/** Reads HTTP/1 messages for tests, by the plainest code there is: not the code under test. */

/** One message as it came. */
export interface RawMessage {
  /** The first line. */
  readonly startLine: string
  /** The field lines as they came, in order. */
  readonly lines: readonly string[]
  /** Start line and field lines with the empty line, byte for byte. */
  readonly head: string
  /** The body without its framing, as latin1 text. */
  readonly body: string
  /** The lines of the trailer section. */
  readonly trailers: readonly string[]
  /** Status of a response; 0 for a request. */
  readonly status: number
  /** Position after the message. */
  readonly end: number
}

/**
 * The message that starts at `from`, or `null` while it is not complete.
 * @param ended whether nothing more comes.
 * @param method of the request that a response answers; empty for a request.
 */
export function readMessage(
  text: string,
  from: number,
  ended: boolean,
  method: string,
): RawMessage | null {
  const headEnd = text.indexOf('\r\n\r\n', from)
  if (headEnd < 0) return null
  const head = text.slice(from, headEnd + 4)
  const [startLine = '', ...lines] = text.slice(from, headEnd).split('\r\n')
  const status = startLine.startsWith('HTTP/') ? Number(startLine.slice(9, 12)) : 0
  const body = readBody(text, headEnd + 4, ended, framing(lines, status, method))
  return body && { startLine, lines, head, status, ...body }
}

/** The value of a field of a message, or `undefined`. */
export function fieldOf(message: RawMessage, name: string): string | undefined {
  return valueIn(message.lines, name)
}

function valueIn(lines: readonly string[], name: string): string | undefined {
  const line = lines.find((text) => text.toLowerCase().startsWith(`${name.toLowerCase()}:`))
  return line?.slice(name.length + 1).trim()
}

type Framing = number | 'chunked' | 'close'

function framing(lines: readonly string[], status: number, method: string): Framing {
  if (status > 0 && (method === 'HEAD' || status < 200 || status === 204 || status === 304))
    return 0
  if (valueIn(lines, 'Transfer-Encoding') === 'chunked') return 'chunked'
  const length = valueIn(lines, 'Content-Length')
  if (length !== undefined) return Number(length)
  return status > 0 ? 'close' : 0
}

interface RawBody {
  readonly body: string
  readonly trailers: readonly string[]
  readonly end: number
}

function readBody(text: string, from: number, ended: boolean, framed: Framing): RawBody | null {
  if (framed === 'chunked') return readChunks(text, from)
  if (framed === 'close') {
    return ended ? { body: text.slice(from), trailers: [], end: text.length } : null
  }
  const end = from + framed
  return text.length < end ? null : { body: text.slice(from, end), trailers: [], end }
}

function readChunks(text: string, from: number): RawBody | null {
  let body = ''
  for (let at = from; ;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (size === 0) return readTrailers(text, lineEnd + 2, body)
    at = lineEnd + 2 + size + 2
    if (text.length < at) return null
    body += text.slice(lineEnd + 2, at - 2)
  }
}

function readTrailers(text: string, from: number, body: string): RawBody | null {
  if (text.startsWith('\r\n', from)) return { body, trailers: [], end: from + 2 }
  const end = text.indexOf('\r\n\r\n', from)
  return end < 0 ? null : { body, trailers: text.slice(from, end).split('\r\n'), end: end + 4 }
}
