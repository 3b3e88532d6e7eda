/** The one place where a failure becomes a response. */
import type { ProxyError } from '../error/index.js'
import { ResponseHeader, reasonPhrase } from '../http/index.js'
import type { CompleteResponse } from '../session/index.js'

/** The response to a request that failed with `error`; says nothing about the inside of the proxy. */
export function errorResponse(error: ProxyError): CompleteResponse {
  const response = statusResponse(error.status)
  // RFC 9110 §15.5.6 wants it; the one method that is refused before any upstream is asked is CONNECT.
  if (error.status === 405) response.header.insertHeader('Allow', NOT_CONNECT)
  return response
}

/** A small plain response with `status`. @param text its body. Default: status and reason. */
export function statusResponse(status: number, text?: string): CompleteResponse {
  const header = new ResponseHeader(status)
  const body = Buffer.from(text ?? `${status} ${reasonPhrase(status)}`.trimEnd() + '\n')
  header.insertHeader('Content-Type', 'text/plain; charset=utf-8')
  header.insertHeader('Content-Length', String(body.length))
  header.insertHeader('Cache-Control', 'private, no-store')
  return { header, body }
}

const NOT_CONNECT = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
