/** What all HTTP/1 connections of a service share: limits, time-outs and where requests go. */
import type { ProxyError } from '../error/index.js'
import type { HttpDate, ResponseHeader } from '../http/index.js'
import type { Counters, Logger } from '../observability/index.js'

import type { RequestLimits } from '../protocols/index.js'
import type { Environment } from '../transport/index.js'
import type { DownstreamSession } from './downstream-session.js'

/** Time-outs towards clients, in ms. */
export interface DownstreamTimeouts {
  /** For a request head: from the last response while idle, from its first byte once begun. Default: 60000. */
  readonly headerMs: number
  /** Longest gap between bytes of a request body. Default: 60000. */
  readonly bodyMs: number
  /** Longest time in which a client takes none of the bytes that wait for it. Default: 60000. */
  readonly writeMs: number
}

/** The contract's time-outs. */
export const DOWNSTREAM_TIMEOUTS: DownstreamTimeouts = Object.freeze({
  headerMs: 60_000,
  bodyMs: 60_000,
  writeMs: 60_000,
})

/** An answer that is complete in itself, such as an error response. */
export interface CompleteResponse {
  /** The head; its Content-Length, if any, is that of `body`. */
  readonly header: ResponseHeader
  /** The whole body; may be empty. */
  readonly body: Buffer
}

/** What all HTTP/1 connections of a service share. */
export interface H1ServerOptions {
  /** Clock and deadlines. */
  readonly env: Environment
  /** Told of what hooks and peers do wrong. */
  readonly logger: Logger
  /** Counts requests and errors. */
  readonly counters: Counters
  /** The `Date` of responses that come without one. */
  readonly date: HttpDate
  /** Limits of request heads. */
  readonly limits: RequestLimits
  /** Time-outs towards clients. */
  readonly timeouts: DownstreamTimeouts
  /** Whether a FIN after a complete request means that the client is gone (contract §5). */
  readonly abortOnClose: boolean
  /** Whether CONNECT is served as other methods are; else it is answered with 405. */
  readonly allowConnect: boolean
  /** Serves a request; ends with `session.finish()`. Never throws. */
  readonly onRequest: (session: DownstreamSession) => void
  /** The answer to a request that could not be parsed. */
  readonly errorResponse: (error: ProxyError) => CompleteResponse
}
