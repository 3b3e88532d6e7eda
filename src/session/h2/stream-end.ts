/** How the readable side of a stream of `node:http2` has ended. */
import { constants } from 'node:http2'
import type { Http2Stream } from 'node:http2'

/**
 * Whether what came on it, now that 'end' was emitted, is all that the peer had to send: Node ends a
 * stream that was broken off as well.
 */
export function isWhole(stream: Http2Stream): boolean {
  return !stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR
}
