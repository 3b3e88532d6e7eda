/** How a failure is told to a gRPC client: as the status of its call, in an answer of nothing else. */
import { ResponseHeader } from '../http/index.js'
import type { CompleteResponse } from '../session/index.js'

/**
 * An answer without a body ("trailers-only") that ends the call. Its code is the one that clients make
 * of `status` themselves; so what they do about it is the same, but they get a message.
 * @param status that of the failure in HTTP.
 * @param wasLate whether the call may have been carried out, and time has run out on it.
 */
export function grpcResponse(status: number, message: string, wasLate: boolean): CompleteResponse {
  const header = new ResponseHeader(200)
  const code = wasLate ? DEADLINE_EXCEEDED : (CODES.get(status) ?? UNKNOWN)
  header.insertHeader('Content-Type', 'application/grpc')
  header.insertHeader('grpc-status', String(code))
  header.insertHeader('grpc-message', percentEncoded(message))
  return { header, body: NOTHING }
}

/** As the protocol has it: UTF-8, of which printable ASCII stands for itself. */
function percentEncoded(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== PERCENT
    encoded += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

const PERCENT = 0x25
const NOTHING = Buffer.alloc(0)

const UNKNOWN = 2
const DEADLINE_EXCEEDED = 4
const PERMISSION_DENIED = 7
const UNIMPLEMENTED = 12
const INTERNAL = 13
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16
/** "HTTP to gRPC Status Code Mapping" of the gRPC documentation. */
const CODES: ReadonlyMap<number, number> = new Map([
  [400, INTERNAL],
  [401, UNAUTHENTICATED],
  [403, PERMISSION_DENIED],
  [404, UNIMPLEMENTED],
  [429, UNAVAILABLE],
  [502, UNAVAILABLE],
  [503, UNAVAILABLE],
  [504, UNAVAILABLE],
])
