/** One request to an upstream and its response, whatever protocol carries it. */
import type { ProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import type { BodyLength } from '../protocols/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import type { TunnelEnd } from './tunnel-end.js'

/** What an upstream session tells the one that sent the request. Calls are synchronous. */
export interface UpstreamHandler {
  /** An interim response (1xx) came. */
  onInterim(header: ResponseHeader): void
  /**
   * The final head came. `bodyLength` is how the upstream frames the body; `TUNNEL`: there is none, and
   * what follows is for `startTunnel`.
   */
  onResponse(header: ResponseHeader, bodyLength: BodyLength): void
  /** `buffer[from, to)` of the response body; borrowed for the call, see `UpstreamSession.retain`. */
  onResponseData(buffer: Buffer, from: number, to: number): void
  /** The response is complete. */
  onResponseEnd(trailers: HeaderMap | null): void
  /** All bytes of one read have been told: what was held back may leave. */
  onReadEnd(): void
  /** The upstream has taken all that was written, after a write that returned `false`. */
  onUpstreamDrain(): void
  /** The exchange failed. Nothing comes after it. */
  onUpstreamError(error: ProxyError): void
}

/** One request to an upstream and its response. */
export interface UpstreamSession {
  /** Facts about the connection that carries the exchange. */
  readonly digest: ConnectionDigest
  /** Whether bytes of the request have been handed to the kernel. */
  readonly requestStarted: boolean
  /** Whether the final head has come. */
  readonly responseStarted: boolean
  /** Why the exchange has failed already; a session that starts with one never calls its handler. */
  readonly failure: ProxyError | null
  /** Whether the exchange is complete and clean, so that nothing of it can reach another one. */
  readonly reusable: boolean
  /** Body bytes of the response received so far. */
  readonly bodyBytesRead: number

  /**
   * Writes the head; it leaves with the first body bytes or with `flush`.
   * @param acceptsTrailers whether the client takes trailers in the response.
   * @throws {@link ProxyError} when the upstream is gone or the head cannot be written.
   */
  writeHeader(header: RequestHeader, bodyLength: BodyLength, acceptsTrailers: boolean): void
  /** Writes body bytes. `false`: some are pending, keep them unchanged and wait for the drain. */
  writeBody(buffer: Buffer, from: number, to: number): boolean
  /** Completes the request. */
  writeEnd(trailers: HeaderMap | null): void
  /** Sends what is held back to save system calls. */
  flush(): void
  /** Stops the delivery of the response until `resume`. */
  pause(): void
  /** Goes on with the delivery; what came meanwhile is told at once. */
  resume(): void
  /** During `onResponseData` only: the bytes of the call stay valid afterwards. */
  retain(): void
  /**
   * After a head with `TUNNEL`: the upstream's end of it. From now on the other calls and the handler of
   * this session are out of use; `abort` closes the end.
   */
  startTunnel(): TunnelEnd
  /** Gives the exchange up, so that the upstream sees it; a connection that it alone uses closes. */
  abort(): void
}
