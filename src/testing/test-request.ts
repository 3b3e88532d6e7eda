/** `TestRequest`: a request as a test describes it, and the bytes that a client sends for it. */

/** A request. What is left out makes the plainest one: `GET /` of `test.example`. */
export interface TestRequest {
  /** Default: `GET`. */
  readonly method?: string
  /** The target as it stands in the request line. Default: `/`. */
  readonly path?: string
  /** Default: `1.1`. */
  readonly version?: '1.0' | '1.1'
  /**
   * Fields, in order; as a list when one comes twice. `Host: test.example` goes first unless there is
   * a `Host`; the framing of the body goes last unless they say it themselves. Values are latin1.
   */
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[]
  /**
   * The body; text is sent as UTF-8. One value is sent in one write with the head. A list is sent
   * chunked, each element one chunk in a write of its own (as it is, with a `Content-Length` in
   * `headers`). Default: none.
   */
  readonly body?: string | Buffer | readonly (string | Buffer)[]
  /** Virtual time between the elements of a body that is a list, in ms. Default: 0. */
  readonly everyMs?: number
  /** Fields behind the body, which makes it chunked. Default: none. */
  readonly trailers?: Readonly<Record<string, string>>
  /**
   * Sends `Expect: 100-continue`, and the body only after the interim response, or when none came
   * for a second; not at all after a final one. Default: false.
   */
  readonly expectContinue?: boolean
  /** What the connection is to become, such as `websocket`: adds `Connection` and `Upgrade`. Default: nothing. */
  readonly upgrade?: string
  /** Exactly these bytes in one write, in place of all the above; text is latin1. Default: none. */
  readonly raw?: string | Buffer
}

/** The bytes of a request, as they are written. */
export interface EncodedRequest {
  /** Decides how its response is framed. */
  readonly method: string
  /** The first write: the head, with the body where nothing has to happen in between. */
  readonly first: Buffer
  /** The writes that follow. */
  readonly rest: readonly Buffer[]
}

/** Makes the bytes of a request. Nothing is checked: a test may send what no client should. */
export function encodeRequest(request: TestRequest): EncodedRequest {
  if (request.raw !== undefined) return encodeRaw(request.raw)
  const { method = 'GET', body } = request
  const fields = fieldsOf(request)
  const isChunked = hasField(fields, 'transfer-encoding')
  const elements = (isList(body) ? body : [body ?? '']).map(toBytes)
  // An empty chunk would end the body.
  const pieces = elements.filter((piece) => piece.length > 0)
  const writes = isChunked ? chunks(pieces, request.trailers ?? {}) : pieces
  const head = encodeHead(request, method, fields)
  if (isList(body) || request.expectContinue === true) return { method, first: head, rest: writes }
  return { method, first: Buffer.concat([head, ...writes]), rest: [] }
}

function encodeRaw(raw: string | Buffer): EncodedRequest {
  const first = typeof raw === 'string' ? Buffer.from(raw, 'latin1') : raw
  const [method = ''] = first.toString('latin1', 0, MAX_METHOD_LENGTH).split(' ')
  return { method: method === '' ? 'GET' : method, first, rest: [] }
}

function fieldsOf(request: TestRequest): (readonly [string, string])[] {
  const { headers = {}, body } = request
  const fields = isPairs(headers) ? [...headers] : Object.entries(headers)
  if (!hasField(fields, 'host')) fields.unshift(['Host', 'test.example'])
  if (request.expectContinue === true) fields.push(['Expect', '100-continue'])
  if (request.upgrade !== undefined) {
    fields.push(['Connection', 'Upgrade'], ['Upgrade', request.upgrade])
  }
  if (hasField(fields, 'content-length') || hasField(fields, 'transfer-encoding')) return fields
  if (isList(body) || request.trailers !== undefined) fields.push(['Transfer-Encoding', 'chunked'])
  else if (body !== undefined) fields.push(['Content-Length', String(toBytes(body).length)])
  return fields
}

function encodeHead(
  { path = '/', version = '1.1' }: TestRequest,
  method: string,
  fields: readonly (readonly [string, string])[],
): Buffer {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`${method} ${path} HTTP/${version}\r\n${lines}\r\n`, 'latin1')
}

/** One write per chunk; the last one brings the end of the body along. */
function chunks(pieces: readonly Buffer[], trailers: Readonly<Record<string, string>>): Buffer[] {
  const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`)
  const end = Buffer.from(`0\r\n${lines.join('')}\r\n`, 'latin1')
  const writes = pieces.map((piece) =>
    Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, LINE_END]),
  )
  const last = writes.pop()
  return [...writes, last === undefined ? end : Buffer.concat([last, end])]
}

function hasField(fields: readonly (readonly [string, string])[], key: string): boolean {
  return fields.some(([name]) => name.toLowerCase() === key)
}

function toBytes(data: string | Buffer): Buffer {
  return typeof data === 'string' ? Buffer.from(data) : data
}

function isList(body: TestRequest['body']): body is readonly (string | Buffer)[] {
  return Array.isArray(body)
}

function isPairs(
  headers: NonNullable<TestRequest['headers']>,
): headers is readonly (readonly [string, string])[] {
  return Array.isArray(headers)
}

const LINE_END = Buffer.from('\r\n')
/** Longer than any method; what has no blank by then is none. */
const MAX_METHOD_LENGTH = 40
