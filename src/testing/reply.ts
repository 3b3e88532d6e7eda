/** The little language in which scripted upstreams answer: what is sent, when, and how it ends. */
import { ProxyError, intInRange } from '../error/index.js'
import { reasonPhrase } from '../http/index.js'
import type { Random } from '../transport/index.js'
import { Reply } from './reply-steps.js'
import type { ReplyStep } from './reply-steps.js'

/** Fields in the order given: pairs, or an object. */
export type ReplyFields =
  Readonly<Record<string, string>> | readonly (readonly [name: string, value: string])[]

/** How {@link reply} answers. */
export interface ReplyOptions {
  /** Fields before those that frame the body; a framing field given here is not added again. Default: none. */
  readonly headers?: ReplyFields
  /** Off: says `Connection: close`, and ends the connection after the response. Default: true. */
  readonly keepAlive?: boolean
  /**
   * Sends the body in chunks: in one, or of these sizes, the last of which repeats. Default: false,
   * or true with `trailers`.
   */
  readonly chunked?: boolean | readonly number[]
  /** Fields after the last chunk. Default: none. */
  readonly trailers?: ReplyFields
  /** Virtual ms before the first byte. Default: 0. */
  readonly delayMs?: number
  /** The reason phrase. Default: the registered one. */
  readonly reason?: string
  /** A `Content-Length` that says something else than the length of the body. Default: the truth. */
  readonly contentLength?: number
}

/** The ways to make a {@link Reply}; called as a function it makes a whole response. */
export interface ReplyMaker {
  /**
   * A well-formed response: `Content-Length` set, or chunked; no body in an answer to HEAD.
   * @param status 100 to 999. Default: 200.
   * @param body text as UTF-8, or bytes. Default: empty.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` for what no response can be: say it with `raw`.
   */
  (status?: number, body?: string | Uint8Array, options?: ReplyOptions): Reply
  /** Latin1 text or bytes as they are. */
  raw(bytes: string | Uint8Array): Reply
  /** An interim response (1xx); say what comes behind it with `followedBy`. Default: 103 without fields. */
  interim(status?: number, headers?: ReplyFields): Reply
  /**
   * A 101: from then on the connection in `upstream.connections` is the upstream's end of a tunnel, to
   * read and to write as the test likes; it ends its side when the proxy has ended the other.
   * @param protocol the one that was granted. Default: `websocket`.
   */
  upgrade(protocol?: string, headers?: ReplyFields): Reply
  /** No answer, now or to any later request of the connection, which stays open. */
  never(): Reply
  /** No answer but a FIN. */
  close(): Reply
  /** No answer but a RST. */
  reset(): Reply
  /** Bytes that are no response. With `random` 16 to 64 random ones, else always the same. */
  garbage(random?: Random): Reply
}

/**
 * What a scripted upstream answers, as a value.
 * @example
 * reply(200, 'hello', { headers: { 'Content-Type': 'text/plain' } }).after(20)
 * reply.upgrade('websocket').followedBy(reply.raw('the first bytes of the tunnel'))
 * reply.interim(103, { Link: '</a.css>' }).followedBy(reply(200, 'late'))
 * reply(200, 'x'.repeat(1000), { chunked: [10, 100] }).cutAfter(300, 'reset')
 */
export const reply: ReplyMaker = Object.assign(respond, {
  raw: (bytes: string | Uint8Array): Reply => new Reply([send('raw', toBuffer(bytes, 'latin1'))]),
  interim: (status: number = 103, headers: ReplyFields = []): Reply => {
    intInRange('status', status, 100, 199)
    return new Reply([send('head', head(status, reasonPhrase(status), pairs(headers)))])
  },
  upgrade: (protocol: string = 'websocket', headers: ReplyFields = []): Reply => {
    const fields: Field[] = [...pairs(headers), ['Connection', 'Upgrade'], ['Upgrade', protocol]]
    return new Reply([send('head', head(101, reasonPhrase(101), fields)), { kind: 'tunnel' }])
  },
  never: (): Reply => new Reply([{ kind: 'stall' }]),
  close: (): Reply => new Reply([{ kind: 'end' }]),
  reset: (): Reply => new Reply([{ kind: 'reset' }]),
  garbage: (random?: Random): Reply => new Reply([send('raw', garbage(random))]),
})

function respond(
  status: number = 200,
  body: string | Uint8Array = '',
  options: ReplyOptions = {},
): Reply {
  intInRange('status', status, 100, 999)
  const content = toBuffer(body, 'utf8')
  const trailers = pairs(options.trailers ?? [])
  const chunked = options.chunked ?? trailers.length > 0
  const { keepAlive = true, reason = reasonPhrase(status), delayMs = 0 } = options
  checkBody(status, content, chunked, trailers, options)

  const fields = pairs(options.headers ?? [])
  if (!fields.some(isFraming)) fields.push(...framing(status, content, chunked, options))
  if (!keepAlive) fields.push(['Connection', 'close'])
  const steps: ReplyStep[] = [send('head', head(status, reason, fields))]
  const framed = chunked === false ? content : chunks(content, chunked, trailers)
  if (framed.length > 0) steps.push(send('body', framed))
  if (!keepAlive) steps.push({ kind: 'end' })
  const made = new Reply(steps)
  return delayMs === 0 ? made : made.after(delayMs)
}

function checkBody(
  status: number,
  content: Buffer,
  chunked: boolean | readonly number[],
  trailers: readonly Field[],
  { contentLength }: ReplyOptions,
): void {
  if (contentLength !== undefined) {
    intInRange('contentLength', contentLength, 0, Number.MAX_SAFE_INTEGER)
    if (chunked !== false) throw invalid('contentLength: a chunked response has none')
  }
  if (chunked === false && trailers.length > 0) {
    throw invalid('trailers: only a chunked response has them')
  }
  if (isBodyless(status) && (content.length > 0 || chunked !== false)) {
    throw invalid(`body: a response with status ${status} has none`)
  }
  if (typeof chunked === 'boolean') return
  if (chunked.length === 0) throw invalid('chunked: at least one size is needed')
  for (const size of chunked) intInRange('chunked', size, 1, Number.MAX_SAFE_INTEGER)
}

/** The fields that frame the body (RFC 9112 §6). */
function framing(
  status: number,
  content: Buffer,
  chunked: boolean | readonly number[],
  { contentLength }: ReplyOptions,
): Field[] {
  if (chunked !== false) return [['Transfer-Encoding', 'chunked']]
  if (contentLength !== undefined) return [['Content-Length', String(contentLength)]]
  return isBodyless(status) ? [] : [['Content-Length', String(content.length)]]
}

function chunks(content: Buffer, sizes: true | readonly number[], trailers: Field[]): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0, nth = 0; at < content.length; nth++) {
    const size = sizes === true ? content.length : (sizes[nth] ?? sizes.at(-1)!)
    const data = content.subarray(at, at + size)
    pieces.push(latin1(`${data.length.toString(16)}\r\n`), data, latin1('\r\n'))
    at += data.length
  }
  return Buffer.concat([...pieces, latin1(`0\r\n${fieldLines(trailers)}\r\n`)])
}

function head(status: number, reason: string, fields: readonly Field[]): Buffer {
  return latin1(`HTTP/1.1 ${status} ${reason}\r\n${fieldLines(fields)}\r\n`)
}

function fieldLines(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
}

/** Ends as a head does, so that no reader waits for more of it. */
function garbage(random: Random | undefined): Buffer {
  if (random === undefined) return latin1('\x16\x03\x01 this is not HTTP \xff\x00\r\n\r\n')
  const bytes = Buffer.alloc(16 + Math.floor(random.next() * 49))
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random.next() * 256)
  // No status line begins with this.
  bytes[0] = 0x16
  return Buffer.concat([bytes, latin1('\r\n\r\n')])
}

function pairs(fields: ReplyFields): Field[] {
  const list = isPairs(fields) ? fields : Object.entries(fields)
  return list.map(([name, value]) => [name, value])
}

function isPairs(fields: ReplyFields): fields is readonly (readonly [string, string])[] {
  return Array.isArray(fields)
}

function isFraming([name]: Field): boolean {
  return /^(?:content-length|transfer-encoding)$/i.test(name)
}

/** Has no body whatever its fields say (RFC 9112 §6.3). */
function isBodyless(status: number): boolean {
  return status < 200 || status === 204 || status === 304
}

function send(part: 'head' | 'body' | 'raw', bytes: Buffer): ReplyStep {
  return { kind: 'send', part, bytes }
}

/** A copy, so that a reply never changes. */
function toBuffer(data: string | Uint8Array, encoding: 'latin1' | 'utf8'): Buffer {
  return typeof data === 'string' ? Buffer.from(data, encoding) : Buffer.from(data)
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function invalid(message: string): ProxyError {
  return new ProxyError('PGR_OPTION_INVALID', message)
}

type Field = readonly [name: string, value: string]
