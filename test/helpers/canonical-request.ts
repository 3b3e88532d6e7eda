/** Reads a request as RFC 9112 writes it, and nothing wider: the judge of what upstreams receive. */

/** A request taken apart, and what about it is not canonical. */
export interface CanonicalRequest {
  /** Sentences, one per fault; empty when the bytes are canonical. */
  readonly faults: readonly string[]
  readonly method: string
  readonly target: string
  readonly fields: readonly (readonly [string, string])[]
  readonly framing: 'none' | 'length' | 'chunked'
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[]
}

/** Takes `raw` (one character per byte), which holds one request and nothing after it, apart. */
export function readCanonicalRequest(raw: string): CanonicalRequest {
  const faults: string[] = []
  const headEnd = raw.indexOf('\r\n\r\n')
  if (headEnd < 0) return { ...EMPTY, faults: ['the head has no end'] }
  const [line = '', ...lines] = raw.slice(0, headEnd).split('\r\n')
  const parts = REQUEST_LINE.exec(line)
  if (parts === null) faults.push(`request line ${JSON.stringify(line.slice(0, 60))}`)
  const fields = readFields(lines, faults)
  const rest = raw.slice(headEnd + 4)

  const valuesOf = (name: string): string[] =>
    fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  const lengths = valuesOf('content-length')
  const codings = valuesOf('transfer-encoding')
  if (valuesOf('host').length !== 1) faults.push('not exactly one Host')
  if (lengths.length > 1 || (lengths[0] !== undefined && !/^\d+$/.test(lengths[0]))) {
    faults.push(`Content-Length ${lengths.join(' | ')}`)
  }
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked')) {
    faults.push(`Transfer-Encoding ${codings.join(' | ')}`)
  }
  if (lengths.length > 0 && codings.length > 0) {
    faults.push('both Content-Length and Transfer-Encoding')
  }

  const method = parts?.[1] ?? ''
  const target = parts?.[2] ?? ''
  if (codings.length > 0) {
    const { body, trailers } = readChunks(rest, faults)
    return { faults, method, target, fields, framing: 'chunked', body, trailers }
  }
  const length = Number(lengths[0] ?? 0)
  if (rest.length !== length) faults.push(`body of ${rest.length} bytes instead of ${length}`)
  const framing = lengths.length > 0 ? 'length' : 'none'
  return { faults, method, target, fields, framing, body: rest, trailers: [] }
}

function readFields(lines: readonly string[], faults: string[]): [string, string][] {
  const fields: [string, string][] = []
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? []
    if (name === undefined) faults.push(`field line ${JSON.stringify(line.slice(0, 60))}`)
    else fields.push([name, value!.trim()])
  }
  return fields
}

function readChunks(
  text: string,
  faults: string[],
): { body: string; trailers: [string, string][] } {
  let body = ''
  let at = 0
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    const [, digits] = CHUNK_LINE.exec(text.slice(at, Math.max(at, lineEnd))) ?? []
    if (lineEnd < 0 || digits === undefined) {
      faults.push(`chunk line ${JSON.stringify(text.slice(at, at + 20))}`)
      return { body, trailers: [] }
    }
    at = lineEnd + 2
    const size = Number.parseInt(digits, 16)
    if (size === 0) break
    body += text.slice(at, at + size)
    at += size
    if (text.slice(at, at + 2) !== '\r\n') {
      faults.push('chunk data without its CRLF')
      return { body, trailers: [] }
    }
    at += 2
  }
  const sectionEnd = text.startsWith('\r\n', at) ? at : text.indexOf('\r\n\r\n', at) + 2
  if (sectionEnd < at || sectionEnd + 2 !== text.length) faults.push('the trailers do not end')
  const lines = text.slice(at, Math.max(at, sectionEnd)).split('\r\n').slice(0, -1)
  return { body, trailers: readFields(lines, faults) }
}

const EMPTY: CanonicalRequest = {
  faults: [],
  method: '',
  target: '',
  fields: [],
  framing: 'none',
  body: '',
  trailers: [],
}
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.[01]$/
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)$/
/** Extensions mean something to one hop only: a proxy does not pass them on. */
const CHUNK_LINE = /^([0-9A-Fa-f]+)$/
