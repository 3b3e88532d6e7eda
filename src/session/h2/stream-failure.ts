/** What it means when a stream to an upstream ends before its response is complete. */
import { constants } from 'node:http2'
import { ProxyError } from '../../error/index.js'
import type { HttpPeer } from '../../transport/index.js'

/** What is known of a stream that has ended. */
export interface StreamEnd {
  /** The code of RST_STREAM, the peer's or ours. */
  readonly code: number | undefined
  /** What Node says about it; `null` when nothing. */
  readonly reason: Error | null
  /** Whether the connection went with it. */
  readonly isLost: boolean
  /** Whether the final head had come. */
  readonly responseStarted: boolean
}

/** The failure of the exchange, and whether another attempt may follow. */
export function streamFailure(end: StreamEnd, peer: HttpPeer): ProxyError {
  const { code = 0, reason, isLost, responseStarted } = end
  const cause = reason ?? undefined
  const reset = `the peer reset the stream: ${codeName(code)}`
  if (responseStarted) {
    const message = isLost ? reason?.message : reset
    return new ProxyError('PGR_RESPONSE_BODY_INCOMPLETE', message, { cause })
  }
  // Both say that nothing of the request was looked at (RFC 9113 §8.7).
  if (code === constants.NGHTTP2_REFUSED_STREAM)
    return new ProxyError('PGR_UPSTREAM_RESET', reset, { cause, retry: 'yes' })
  if (code === constants.NGHTTP2_HTTP_1_1_REQUIRED) {
    const retry = peer.protocol === 'auto' ? 'yes' : 'no'
    return new ProxyError('PGR_UPSTREAM_RESET', reset, { cause, retry })
  }
  if (!isLost) return new ProxyError('PGR_UPSTREAM_RESET', reset, { cause })
  if (reason instanceof ProxyError)
    return new ProxyError(reason.code, reason.message, { cause, retry: 'if-reused' })
  if (reason === null)
    return new ProxyError('PGR_UPSTREAM_CLOSED', undefined, { retry: 'if-reused' })
  const isOfHttp2 = (reason as NodeJS.ErrnoException).code?.startsWith('ERR_HTTP2') === true
  const lost = isOfHttp2 ? 'PGR_UPSTREAM_H2_ERROR' : 'PGR_UPSTREAM_READ_FAILED'
  return new ProxyError(lost, reason.message, { cause, retry: 'if-reused' })
}

/** The name of an error code (RFC 9113 §7), such as `REFUSED_STREAM`. */
function codeName(code: number): string {
  return NAMES[code] ?? String(code)
}

const NAMES: readonly string[] = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
]
