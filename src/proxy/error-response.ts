/** The one place where a failure becomes a response. */
import type { ProxyError } from '../error/index.js'
import { ResponseHeader, reasonPhrase } from '../http/index.js'
import type { RequestHeader } from '../http/index.js'
import { isGrpcType } from '../protocols/index.js'
import type { CompleteResponse } from '../session/index.js'
import { grpcResponse } from './grpc-response.js'

/** The response to a request that failed with `error`; says nothing about the inside of the proxy. */
export function errorResponse(error: ProxyError): CompleteResponse {
  const response = statusResponse(error.status)
  // RFC 9110 §15.5.6 wants it; the one method that is refused before any upstream is asked is CONNECT.
  if (error.status === 405) response.header.insertHeader('Allow', NOT_CONNECT)
  return response
}

/**
 * The response to `request`, which failed with `error` and is answered with `status`, in the form that
 * its client understands.
 * @param text its body, or the message of a gRPC call. Default: status and reason.
 */
export function failureResponse(
  request: RequestHeader,
  error: ProxyError,
  status: number,
  text?: string,
): CompleteResponse {
  if (!isGrpcType(request.getHeader('content-type'))) return statusResponse(status, text)
  return grpcResponse(status, text ?? statusText(status), LATE.has(error.code))
}

/** A small plain response with `status`. @param text its body. Default: status and reason. */
function statusResponse(status: number, text?: string): CompleteResponse {
  const header = new ResponseHeader(status)
  const body = Buffer.from(text ?? `${statusText(status)}\n`)
  header.insertHeader('Content-Type', 'text/plain; charset=utf-8')
  header.insertHeader('Content-Length', String(body.length))
  header.insertHeader('Cache-Control', 'private, no-store')
  return { header, body }
}

function statusText(status: number): string {
  return `${status} ${reasonPhrase(status)}`.trimEnd()
}

/** Time-outs of what had begun; who hears of another failure may think that nothing was done. */
const LATE: ReadonlySet<string> = new Set([
  'PGR_BODY_TIMEOUT',
  'PGR_UPSTREAM_READ_TIMEOUT',
  'PGR_UPSTREAM_WRITE_TIMEOUT',
])
const NOT_CONNECT = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
