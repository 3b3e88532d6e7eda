/** A request of the simulation: what it says, its bytes, and in which pieces they are written. */
import type { SeededRandom } from '../../src/testing/index.js'
import { bytesOf } from './byte-stream.js'

/** How a request is wrong: in its head, or in the framing of its body. */
export type Fault = '' | 'head' | 'body'

/** A request as its client sends it. */
export interface SimRequest {
  /** Such as `c3r1`: the second one on the connection `c3`. It stands in the target. */
  readonly id: string
  readonly method: string
  /** In origin form, whatever form the request line has. */
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly body: Buffer
  readonly hasBody: boolean
  readonly trailers: readonly Field[]
  /** What is wrong with it; empty: nothing. */
  readonly fault: Fault
  /** Waits for a 100 (Continue) before the second piece. */
  readonly expects: boolean
  /** Whether it may be the last one that the connection serves, by what it says itself. */
  readonly closes: boolean
  readonly acceptsTrailers: boolean
  /** The value of its `X-Pad`, which passes as it is; empty: it has none. */
  readonly pad: string
  /** The writes, in order; the first begins with the head. */
  readonly pieces: readonly Buffer[]
  /** Virtual time between two pieces. */
  readonly everyMs: number
}

type Field = readonly [name: string, value: string]

/** What decides how requests are. */
export interface RequestStyle {
  readonly random: SeededRandom
  /** Share of requests that are malformed. */
  readonly faultShare: number
  /** Longest body, in bytes. */
  readonly maxBodyBytes: number
  /** Longest time between two pieces of a request. */
  readonly maxPauseMs: number
}

/** Draws one request. */
export function drawRequest(id: string, style: RequestStyle): SimRequest {
  const { random } = style
  const fault: Fault = !random.chance(style.faultShare) ? '' : random.chance(0.6) ? 'head' : 'body'
  if (fault === 'head') return malformedRequest(id, random)
  const method = random.pick(METHODS)
  // Chunks came with HTTP/1.1, and so did what can be wrong with them.
  const version = fault === '' && random.chance(0.06) ? '1.0' : '1.1'
  const hasBody = fault === 'body' || random.chance(bodyShare(method))
  const chunked = fault === 'body' || (version === '1.1' && random.chance(0.5))
  const body = hasBody ? bytesOf(`request ${id}`, drawSize(random, style.maxBodyBytes)) : NOTHING
  const trailers: Field[] = hasBody && chunked && random.chance(0.4) ? [['X-Trailer', id]] : []
  const expects = hasBody && version === '1.1' && random.chance(0.15)
  const closes = random.chance(version === '1.0' ? 0.5 : 0.06)
  const acceptsTrailers = random.chance(0.4)
  const target = drawTarget(id, random)
  const pad = drawPad(id, random)
  const fields = headFields({ random, closes, acceptsTrailers, version, expects, pad })
  if (hasBody) fields.push(framing(chunked, body.length, trailers, random))
  else if (random.chance(0.1)) fields.push(['Content-Length', '0'])
  const lines = random.shuffle(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const form = random.chance(0.1) ? `http://sim.test${target}` : target
  const head = Buffer.from(`${method} ${form} HTTP/${version}\r\n${lines.join('')}\r\n`, 'latin1')
  const wire = chunked && hasBody ? chunks(body, trailers, random) : body
  const payload = fault === 'body' ? spoil(wire, random) : wire
  return {
    ...{ id, method, target, version, body, hasBody, trailers, fault, expects, closes },
    ...{ acceptsTrailers, pad },
    pieces: cut(head, payload, expects, random),
    everyMs: random.chance(0.3) ? random.int(0, style.maxPauseMs) : 0,
  }
}

/** Small ones are common; large ones test back-pressure. */
export function drawSize(random: SeededRandom, maxBytes: number): number {
  const kind = random.next()
  if (kind < 0.1) return Math.min(1, maxBytes)
  if (kind < 0.7) return random.int(1, Math.min(2_000, maxBytes))
  if (kind < 0.93) return random.int(1, Math.min(20_000, maxBytes))
  return random.int(1, maxBytes)
}

/** A field's value that nobody else has; often none. */
export function drawPad(name: string, random: SeededRandom): string {
  return random.chance(0.7) ? '' : `${name} `.repeat(random.int(1, 60)).trimEnd()
}

function bodyShare(method: string): number {
  if (method === 'POST' || method === 'PUT') return 0.9
  return method === 'DELETE' ? 0.3 : 0.05
}

function drawTarget(id: string, random: SeededRandom): string {
  if (random.chance(0.05)) return `/${id}?pad=${'x'.repeat(random.int(0, 3_000))}`
  return random.chance(0.2) ? `/${id}?a=b&c=%20` : `/${id}`
}

interface HeadFacts {
  readonly random: SeededRandom
  readonly closes: boolean
  readonly acceptsTrailers: boolean
  readonly version: string
  readonly expects: boolean
  readonly pad: string
}

/** Ordinary fields, and hop-by-hop ones that nobody else may see. */
function headFields(facts: HeadFacts): Field[] {
  const { random, closes, acceptsTrailers, version, expects, pad } = facts
  const fields: Field[] = [['Host', 'sim.test']]
  const options: string[] = []
  if (closes && version === '1.1') options.push('close')
  if (!closes && version === '1.0') options.push('keep-alive')
  if (random.chance(0.2)) {
    options.push('X-Hop')
    fields.push(['X-Hop', 'secret'])
  }
  if (acceptsTrailers) {
    options.push('TE')
    fields.push(['TE', 'trailers'])
  }
  if (random.chance(0.1)) fields.push(['Keep-Alive', 'timeout=5'])
  if (random.chance(0.05)) {
    options.push('Upgrade')
    fields.push(['Upgrade', 'h2c'])
  }
  if (random.chance(0.1)) fields.push(['Proxy-Authorization', 'Basic c2VjcmV0'])
  if (options.length > 0) fields.push(['Connection', options.join(', ')])
  if (pad !== '') fields.push(['X-Pad', pad])
  if (expects) fields.push(['Expect', '100-continue'])
  return fields
}

function framing(
  chunked: boolean,
  length: number,
  trailers: readonly Field[],
  random: SeededRandom,
): Field {
  if (!chunked) return ['Content-Length', String(length)]
  return ['Transfer-Encoding', trailers.length > 0 && random.chance(0.5) ? 'Chunked' : 'chunked']
}

/** The body in chunks of drawn sizes. */
export function chunks(body: Buffer, trailers: readonly Field[], random: SeededRandom): Buffer {
  const parts: Buffer[] = []
  const typical = random.pick([3, 100, 1_000, 20_000])
  for (let at = 0; at < body.length;) {
    // A long body in tiny chunks costs a lot and shows nothing new.
    const size = Math.min(body.length - at, Math.max(random.int(1, typical), body.length >> 5))
    const extension = random.chance(0.05) ? ';ext=1' : ''
    parts.push(latin1(`${size.toString(16)}${extension}\r\n`), body.subarray(at, at + size), CRLF)
    at += size
  }
  const lines = trailers.map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([...parts, latin1(`0\r\n${lines.join('')}\r\n`)])
}

/** Makes a chunked body one that no parser may take: the last chunk's size is none. */
function spoil(wire: Buffer, random: SeededRandom): Buffer {
  const end = wire.lastIndexOf('\r\n0\r\n')
  const at = end < 0 ? 0 : end + 2
  return Buffer.concat([
    wire.subarray(0, at),
    latin1(random.pick(['z\r\n\r\n', '-1\r\n', '0x0\r\n'])),
  ])
}

/** The writes: head and body in one, the head alone, or anything in between. */
function cut(head: Buffer, payload: Buffer, expects: boolean, random: SeededRandom): Buffer[] {
  if (expects) return [head, ...pieces(payload, random)]
  if (random.chance(0.5)) return [Buffer.concat([head, payload])]
  if (random.chance(0.5)) return [head, ...pieces(payload, random)]
  return pieces(Buffer.concat([head, payload]), random)
}

function pieces(bytes: Buffer, random: SeededRandom): Buffer[] {
  const list: Buffer[] = []
  const count = random.int(1, 6)
  for (let at = 0; at < bytes.length;) {
    const size = list.length + 1 === count ? bytes.length : random.int(1, bytes.length - at)
    list.push(bytes.subarray(at, at + size))
    at += size
  }
  return list
}

/** What is no request: it must be refused, and nothing behind it looked at. */
function malformedRequest(id: string, random: SeededRandom): SimRequest {
  const text = random.pick(MALFORMED)(id)
  return {
    ...{ id, method: 'GET', target: `/${id}`, version: '1.1', body: NOTHING, hasBody: false },
    ...{ trailers: [], fault: 'head', expects: false, closes: true, acceptsTrailers: false },
    pad: '',
    pieces: pieces(latin1(text), random),
    everyMs: 0,
  }
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'POST', 'PUT', 'DELETE']
const NOTHING: Buffer = Buffer.alloc(0)
const CRLF: Buffer = Buffer.from('\r\n')
const MALFORMED: readonly ((id: string) => string)[] = [
  (id) => `GET /${id} HTTP/1.1\r\n\r\n`,
  (id) => `GET /${id} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
  (id) => `POST /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
  (id) =>
    `POST /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  (id) => `POST /${id} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  (id) => `GET /${id} HTTP/1.1\r\nHost : a\r\n\r\n`,
  (id) => `GET /${id} HTTP/2.0\r\nHost: a\r\n\r\n`,
  (id) => `GET /${id} HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n`,
  (id) => `GET  /${id} HTTP/1.1\r\nHost: a\r\n\r\n`,
  () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n',
]
