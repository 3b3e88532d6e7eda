/** One request from a client and the way to answer it, whatever protocol brought it. */
import type { ProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import type { BodyLength } from '../protocols/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import type { TunnelEnd } from './tunnel-end.js'

/** What a downstream session tells the one that serves the request. Calls are synchronous. */
export interface DownstreamHandler {
  /** `buffer[from, to)` of the request body; borrowed for the call, see `DownstreamSession.retain`. */
  onRequestData(buffer: Buffer, from: number, to: number): void
  /** The request body is complete; comes once `readBody` was called, also when there is no body. */
  onRequestEnd(trailers: HeaderMap | null): void
  /** All bytes of one read have been told: what was held back may leave. */
  onRequestReadEnd(): void
  /** The client has taken all that was written, after a write that returned `false`. */
  onDownstreamDrain(): void
  /** The client left, was too slow or sent a body that is none. Nothing comes after it. */
  onDownstreamError(error: ProxyError): void
}

/** One request from a client and its response. */
export interface DownstreamSession {
  /** The request head, without hop-by-hop fields. */
  readonly header: RequestHeader
  /** How the request body is framed. */
  readonly bodyLength: BodyLength
  /** What the client wants the connection to become, as it wrote it; `null` for an ordinary request. */
  readonly upgrade: string | null
  /** Whether the client takes trailers in the response (`TE: trailers`, RFC 9110 §10.1.4). */
  readonly acceptsTrailers: boolean
  /** Facts about the client's connection. */
  readonly digest: ConnectionDigest
  /** Who is told of the request body and of the client's end. */
  handler: DownstreamHandler | null
  /** Whether the request body has been read to its end. */
  readonly bodyDone: boolean
  /** Whether the head of the final response has been written. */
  readonly headerWritten: boolean
  /** Whether the response is complete. */
  readonly responseDone: boolean
  /** Body bytes of the response written so far, those of a tunnel included. */
  readonly bodyBytesWritten: number
  /** Body bytes of the request read so far, those of a tunnel included. */
  readonly bodyBytesRead: number
  /** Set to false: the connection closes after this response. */
  keepAlive: boolean

  /**
   * Starts or resumes the delivery of the request body.
   * @returns whether it is called within a read, whose end `onRequestReadEnd` will tell: bytes of
   * the body may come in the same read, so what is held back need not be flushed yet.
   */
  readBody(): boolean
  /** Stops the delivery until `readBody`. */
  pauseBody(): void
  /** During `onRequestData` only: the bytes of the call stay valid afterwards. */
  retain(): void
  /** Writes an interim response (1xx); clients that cannot take one do not get it. */
  writeInterim(header: ResponseHeader): void
  /**
   * Writes the final head; it leaves with the first body bytes or with `flush`.
   * @param bodyLength how the source frames the body; a Content-Length in `header` goes first.
   * `TUNNEL` for exactly the answers that open one: 101, and 2xx to CONNECT; they leave at once.
   */
  writeHeader(header: ResponseHeader, bodyLength: BodyLength): void
  /** Writes body bytes. `false`: some are pending, keep them unchanged and wait for the drain. */
  writeBody(buffer: Buffer, from: number, to: number): boolean
  /**
   * After the head of a `TUNNEL`: the client's end of it. From now on the body calls and the handler of
   * this session are out of use; `finish` and `abort` close the end.
   */
  startTunnel(): TunnelEnd
  /** Completes the response. */
  writeEnd(trailers: HeaderMap | null): void
  /** Sends what is held back to save system calls. */
  flush(): void
  /** The request is over: the connection goes on to the next one or closes. Once, last. */
  finish(): void
  /** Cuts the response so that the client sees that it is incomplete. */
  abort(): void
}
