/** `Session`: what hooks know of a request, and how they answer it themselves. */
import type { ProxyError } from '../error/index.js'
import { ResponseHeader } from '../http/index.js'
import type { RequestHeader } from '../http/index.js'
import type { ModuleContext } from '../modules/index.js'
import { ModuleSession, NO_MODULES } from '../modules/internal.js'
import type { DownstreamSession } from '../session/index.js'
import type { Clock } from '../time/index.js'
import type { ConnectionDigest, HttpPeer } from '../transport/index.js'
import type { RequestIds } from './request-ids.js'

/** One try to send the request to an upstream. */
export interface Attempt {
  /** Where it went. */
  readonly peer: HttpPeer
  /** Whether the connection came from the pool. */
  reused: boolean
  /** Why it failed; `null` while it has not. */
  error: ProxyError | null
}

/** A response that a hook gives by itself. */
export interface OwnResponse {
  /** Fields, in order. Content-Length and Date are added. */
  readonly headers?: Readonly<Record<string, string>>
  /** The body; text is sent as UTF-8. Default: empty. */
  readonly body?: string | Uint8Array
}

/** One request on its way through the proxy. */
export class Session {
  /** The head of the request, without hop-by-hop fields. */
  readonly reqHeader: RequestHeader
  /** The tries made so far, the one in progress included. */
  attempts: readonly Attempt[] = NO_ATTEMPTS
  /** The final response head as it was written to the client; `null` before that. */
  responseHeader: ResponseHeader | null = null
  /** Facts about the connection to the upstream of the latest attempt; `null` before it stands. */
  upstreamDigest: ConnectionDigest | null = null
  /** When the head of the request was complete, in the clock's ms. */
  readonly startedMs: number
  readonly #downstream: DownstreamSession
  readonly #clock: Clock
  readonly #ids: RequestIds
  #requestId: string | null = null

  /** Made by the pipeline. */
  constructor(downstream: DownstreamSession, clock: Clock, ids: RequestIds) {
    this.reqHeader = downstream.header
    this.#downstream = downstream
    this.#clock = clock
    this.#ids = ids
    this.startedMs = clock.nowMs()
  }

  /**
   * A name that no other request has, such as `mib4xk1c-2f`; the log line of a failure has it too, as
   * `id`. Made when it is first asked for.
   */
  get requestId(): string {
    this.#requestId ??= this.#ids.next()
    return this.#requestId
  }

  /** Facts about the client's connection. */
  get digest(): ConnectionDigest {
    return this.#downstream.digest
  }

  /** The client's address, such as `10.0.0.1:55123` or `unix:`. */
  get clientAddress(): string {
    return this.#downstream.digest.peerAddress
  }

  /** The client's IP address alone; empty on a unix socket. */
  get clientIp(): string {
    return this.#downstream.digest.peerIp
  }

  /** The address that the client connected to. */
  get serverAddress(): string {
    return this.#downstream.digest.localAddress
  }

  /** The first value of a request field. */
  getHeader(name: string): string | undefined {
    return this.reqHeader.headers.get(name)
  }

  /** The modules of this request, as `initDownstreamModules` has added them. */
  get modules(): ModuleContext {
    return this.#downstream instanceof ModuleSession ? this.#downstream.modules : NO_MODULES
  }

  /** Whether the head of the final response has been written. */
  get responseWritten(): boolean {
    return this.#downstream.headerWritten
  }

  /** Body bytes of the request read from the client so far, those of a tunnel included. */
  get bodyBytesRead(): number {
    return this.#downstream.bodyBytesRead
  }

  /** Body bytes of the response written to the client so far, those of a tunnel included. */
  get bodyBytesSent(): number {
    return this.#downstream.bodyBytesWritten
  }

  /** Time since the head of the request was complete, in ms. */
  get elapsedMs(): number {
    return this.#clock.nowMs() - this.startedMs
  }

  /** Whether the request has a body, by its framing. */
  get hasRequestBody(): boolean {
    return this.#downstream.bodyLength !== 0
  }

  /** Whether the client asks for an upgrade that can be passed on, as WebSocket clients do. */
  get isUpgradeReq(): boolean {
    return this.#downstream.upgrade !== null
  }

  /** Whether the request has become a tunnel: the upstream answered with 101. */
  get wasUpgraded(): boolean {
    return this.responseHeader?.status === 101
  }

  /** Closes the client's connection after this response. */
  closeAfterResponse(): void {
    this.#downstream.keepAlive = false
  }

  /**
   * Answers the request. From `requestFilter` return `'responded'` afterwards.
   * @throws {@link ProxyError} `PGR_RESPONSE_ORDER` when a response has been written already,
   * `PGR_OPTION_INVALID` for a field that cannot stand in a header.
   */
  respond(status: number, response: OwnResponse = {}): void {
    const header = new ResponseHeader(status)
    for (const [name, value] of Object.entries(response.headers ?? {}))
      header.appendHeader(name, value)
    const body = toBuffer(response.body ?? '')
    if (status !== 204 && status !== 304) header.insertHeader('Content-Length', String(body.length))
    this.#downstream.writeHeader(header, body.length)
    this.responseHeader = header
    this.#downstream.writeBody(body, 0, body.length)
    this.#downstream.writeEnd(null)
  }
}

const NO_ATTEMPTS: readonly Attempt[] = Object.freeze([])

function toBuffer(body: string | Uint8Array): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}
