/** Heads, chunks and trailers as HTTP/1 bytes. */
import { ProxyError } from '../../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../../http/index.js'
import { CHUNKED, UNTIL_CLOSE } from './head-facts.js'
import type { BodyLength } from './head-facts.js'

/** How the connection goes on after the message, as the `Connection` field says it. */
export type ConnectionOption = 'default' | 'keep-alive' | 'close'

/** The request head as it goes to an upstream; HTTP/1.1 whatever the client spoke (RFC 9110 §2.5). */
export function writeRequestHead(
  header: RequestHeader,
  bodyLength: BodyLength,
  connection: ConnectionOption,
): string {
  return (
    `${header.method} ${header.target} HTTP/1.1\r\n` +
    header.headers.toLines() +
    upgradeLines(header.upgrade) +
    framing(bodyLength, connection)
  )
}

/** A response head as it goes to a client; always HTTP/1.1 (RFC 9112 §2.3). */
export function writeResponseHead(
  header: ResponseHeader,
  bodyLength: BodyLength,
  connection: ConnectionOption,
): string {
  return (
    statusLine(header) +
    header.headers.toLines() +
    upgradeLines(header.upgrade) +
    framing(bodyLength, connection)
  )
}

/** Each piece of a text costs when it is put together and when it leaves: most responses have one here. */
function statusLine({ status, reason }: ResponseHeader): string {
  return status === 200 && reason === 'OK'
    ? 'HTTP/1.1 200 OK\r\n'
    : `HTTP/1.1 ${status} ${reason}\r\n`
}

/**
 * How long a body is that goes out with these fields: what Content-Length says, else `otherwise`.
 * @throws {@link ProxyError} `PGR_BODY_LENGTH_MISMATCH` when a hook wrote a length that is none.
 */
export function declaredLength(headers: HeaderMap, otherwise: BodyLength): BodyLength {
  const text = headers.contentLength
  if (text === undefined) return otherwise
  const length = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(length)) {
    throw new ProxyError('PGR_BODY_LENGTH_MISMATCH', 'Content-Length is not a number of bytes')
  }
  return length
}

/** The line before the data of a chunk of `bytes` bytes; data and {@link CHUNK_END} follow. */
export function chunkStart(bytes: number): string {
  return `${bytes.toString(16)}\r\n`
}

/** What follows the data of a chunk. */
export const CHUNK_END = '\r\n'

/** The end of a chunked body, with its trailers. */
export function lastChunk(trailers: HeaderMap | null): string {
  return trailers === null ? '0\r\n\r\n' : `0\r\n${trailers.toLines()}\r\n`
}

/** Upgrade is for the next hop alone, which Connection says (RFC 9110 §7.8). */
function upgradeLines(upgrade: string | null): string {
  return upgrade === null ? '' : `Connection: upgrade\r\nUpgrade: ${upgrade}\r\n`
}

/** The lines that frame the message and say how the connection goes on, and the empty line. */
function framing(bodyLength: BodyLength, connection: ConnectionOption): string {
  const end = headEnd(bodyLength === UNTIL_CLOSE ? 'close' : connection)
  return bodyLength === CHUNKED ? `Transfer-Encoding: chunked\r\n${end}` : end
}

function headEnd(connection: ConnectionOption): string {
  if (connection === 'default') return '\r\n'
  return connection === 'close' ? 'Connection: close\r\n\r\n' : 'Connection: keep-alive\r\n\r\n'
}
