/** Trailers as the last frame of a gRPC-Web body, for clients that cannot see those of HTTP. */
import type { HeaderMap } from '../../http/index.js'

/** A frame as those of messages, with the highest bit of its flags set: lines of HTTP/1, names in lower case. */
export function encodeTrailersFrame(trailers: HeaderMap): Buffer {
  let lines = ''
  trailers.forEach((key, value) => {
    lines += `${key}:${value}\r\n`
  })
  const frame = Buffer.allocUnsafe(HEAD_BYTES + lines.length)
  frame[0] = TRAILERS
  frame.writeUInt32BE(lines.length, 1)
  frame.write(lines, HEAD_BYTES, 'latin1')
  return frame
}

const TRAILERS = 0x80
/** Flags, and the length of what follows. */
const HEAD_BYTES = 5
