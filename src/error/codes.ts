/** The table of all error codes: the one place that says what each failure means and becomes. */

/** Which side of the proxy a failure belongs to. */
export type ErrorSource = 'upstream' | 'downstream' | 'internal'

/**
 * Whether another attempt may be made: `if-reused` means only when the upstream connection came
 * from the pool, because then the peer may have closed it before it saw the request.
 */
export type RetryDecision = 'no' | 'yes' | 'if-reused'

/** What the table says about one code. */
export interface ErrorCodeEntry {
  /** The side that failed. */
  readonly source: ErrorSource
  /** The status of the error response; 499 is never sent, it only marks a client that left. */
  readonly status: number
  /** Meaning, as a sentence fragment; used as the message where no better one is given. */
  readonly text: string
}

/**
 * Every code, its side and its status. Codes are stable: one is never renamed or used again for
 * something else. `docs/reference/errors.md` documents each.
 */
export const ERROR_CODES = {
  // Upstream: finding and reaching a peer.
  PGR_NO_PEER: {
    source: 'upstream',
    status: 503,
    text: 'no healthy backend to send the request to',
  },
  PGR_RESOLVE_FAILED: { source: 'upstream', status: 502, text: 'host name could not be resolved' },
  PGR_DISCOVERY_FAILED: {
    source: 'upstream',
    status: 503,
    text: 'finding out the backends failed',
  },
  PGR_HEALTH_CHECK_FAILED: { source: 'upstream', status: 502, text: 'a health check failed' },
  PGR_CONNECT_TIMEOUT: { source: 'upstream', status: 504, text: 'connecting took too long' },
  PGR_CONNECT_REFUSED: { source: 'upstream', status: 502, text: 'connection refused' },
  PGR_CONNECT_NO_ROUTE: { source: 'upstream', status: 502, text: 'no route to the peer' },
  PGR_CONNECT_FAILED: { source: 'upstream', status: 502, text: 'connecting failed' },
  PGR_BIND_FAILED: { source: 'internal', status: 500, text: 'binding to the local address failed' },
  PGR_CONNECT_PROXY_FAILED: {
    source: 'upstream',
    status: 502,
    text: 'the HTTP proxy on the way to the peer opened no tunnel',
  },
  PGR_TLS_HANDSHAKE_FAILED: { source: 'upstream', status: 502, text: 'TLS handshake failed' },
  PGR_TLS_HANDSHAKE_TIMEOUT: {
    source: 'upstream',
    status: 504,
    text: 'TLS handshake took too long',
  },
  PGR_CERTIFICATE_INVALID: {
    source: 'upstream',
    status: 502,
    text: 'the certificate of the peer was not accepted',
  },
  // Upstream: the exchange.
  PGR_UPSTREAM_READ_TIMEOUT: {
    source: 'upstream',
    status: 504,
    text: 'the peer sent nothing in time',
  },
  PGR_UPSTREAM_WRITE_TIMEOUT: {
    source: 'upstream',
    status: 504,
    text: 'the peer took no bytes in time',
  },
  PGR_UPSTREAM_READ_FAILED: {
    source: 'upstream',
    status: 502,
    text: 'reading from the peer failed',
  },
  PGR_UPSTREAM_WRITE_FAILED: {
    source: 'upstream',
    status: 502,
    text: 'writing to the peer failed',
  },
  PGR_UPSTREAM_CLOSED: {
    source: 'upstream',
    status: 502,
    text: 'the peer closed before it answered',
  },
  PGR_UPSTREAM_RESET: {
    source: 'upstream',
    status: 502,
    text: 'the peer reset the stream of the request',
  },
  PGR_UPSTREAM_H2_ERROR: {
    source: 'upstream',
    status: 502,
    text: 'the peer does not speak HTTP/2 as it should',
  },
  PGR_RESPONSE_INVALID: {
    source: 'upstream',
    status: 502,
    text: 'the response head is malformed',
  },
  PGR_RESPONSE_TOO_LARGE: {
    source: 'upstream',
    status: 502,
    text: 'the response head is too large',
  },
  PGR_RESPONSE_BODY_INVALID: {
    source: 'upstream',
    status: 502,
    text: 'the response body is malformed',
  },
  PGR_RESPONSE_BODY_INCOMPLETE: {
    source: 'upstream',
    status: 502,
    text: 'the peer closed before the response body was complete',
  },
  // Downstream.
  PGR_PROXY_HEADER_INVALID: {
    source: 'downstream',
    status: 400,
    text: 'the PROXY header before the connection is missing or malformed',
  },
  PGR_PROXY_HEADER_TIMEOUT: {
    source: 'downstream',
    status: 408,
    text: 'the PROXY header took too long',
  },
  PGR_REQUEST_INVALID: { source: 'downstream', status: 400, text: 'the request head is malformed' },
  PGR_TARGET_TOO_LONG: { source: 'downstream', status: 414, text: 'the request line is too long' },
  PGR_HEADER_TOO_LARGE: {
    source: 'downstream',
    status: 431,
    text: 'the header section is too large',
  },
  PGR_VERSION_UNSUPPORTED: { source: 'downstream', status: 505, text: 'not HTTP/1.0 or HTTP/1.1' },
  PGR_CONNECT_NOT_ALLOWED: {
    source: 'downstream',
    status: 405,
    text: 'CONNECT is not allowed here',
  },
  PGR_REQUEST_BODY_INVALID: {
    source: 'downstream',
    status: 400,
    text: 'the request body is malformed',
  },
  PGR_REQUEST_BODY_INCOMPLETE: {
    source: 'downstream',
    status: 400,
    text: 'the client closed before the request body was complete',
  },
  PGR_HEADER_TIMEOUT: { source: 'downstream', status: 408, text: 'the request head took too long' },
  PGR_BODY_TIMEOUT: { source: 'downstream', status: 408, text: 'the request body took too long' },
  PGR_DOWNSTREAM_CLOSED: {
    source: 'downstream',
    status: 499,
    text: 'the client left before the answer',
  },
  PGR_DOWNSTREAM_WRITE_TIMEOUT: {
    source: 'downstream',
    status: 499,
    text: 'the client took no bytes in time',
  },
  PGR_TUNNEL_TIMEOUT: {
    source: 'downstream',
    status: 408,
    text: 'no byte went through the tunnel in time',
  },
  PGR_CLIENT_TLS_FAILED: {
    source: 'downstream',
    status: 499,
    text: 'the TLS handshake of a client failed',
  },
  PGR_CLIENT_TLS_TIMEOUT: {
    source: 'downstream',
    status: 499,
    text: 'the TLS handshake of a client took too long',
  },
  PGR_CLIENT_CERTIFICATE_INVALID: {
    source: 'downstream',
    status: 499,
    text: 'the certificate of a client was not accepted',
  },
  PGR_HTTP2_INVALID: {
    source: 'downstream',
    status: 499,
    text: 'the client broke the rules of HTTP/2',
  },
  PGR_HTTP2_FLOOD: {
    source: 'downstream',
    status: 499,
    text: 'the client sends frames that only cost work',
  },
  // Internal.
  PGR_HOOK_FAILED: { source: 'internal', status: 500, text: 'a hook threw' },
  PGR_HTTP_STATUS: { source: 'internal', status: 500, text: 'a hook asked for this status' },
  PGR_BODY_LENGTH_MISMATCH: {
    source: 'internal',
    status: 500,
    text: 'the body does not have the length that its Content-Length says',
  },
  PGR_RESPONSE_ORDER: {
    source: 'internal',
    status: 500,
    text: 'a response part was written out of order',
  },
  PGR_INTERNAL: { source: 'internal', status: 500, text: 'internal error' },
  // Start-up, options and configuration: thrown to the caller, never sent to a client.
  PGR_OPTION_INVALID: { source: 'internal', status: 500, text: 'an option is out of range' },
  PGR_ADDRESS_INVALID: { source: 'internal', status: 500, text: 'not an address' },
  PGR_CONFIGURATION_INVALID: {
    source: 'internal',
    status: 500,
    text: 'the configuration is not valid',
  },
  PGR_NOT_AVAILABLE: { source: 'internal', status: 500, text: 'not available yet' },
  PGR_WORKER_FAILED: { source: 'internal', status: 500, text: 'a worker thread failed' },
  PGR_HANDOVER_FAILED: { source: 'internal', status: 500, text: 'the upgrade failed' },
  PGR_LISTEN_FAILED: { source: 'internal', status: 500, text: 'listening failed' },
  PGR_SHARED_MEMORY_MISMATCH: {
    source: 'internal',
    status: 500,
    text: 'the threads do not agree on their shared memory',
  },
} as const

/** The stable name of a failure, such as `PGR_CONNECT_REFUSED`. */
export type ErrorCode = keyof typeof ERROR_CODES
