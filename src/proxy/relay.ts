/** Moves one request up and its response down, both ways at once, through the filters. */
import { ProxyError, toProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import type { BodyVerdict } from '../modules/index.js'
import { chosen } from '../modules/internal.js'
import { CHUNKED, TUNNEL, declaredLength } from '../protocols/index.js'
import type { BodyLength } from '../protocols/index.js'
import type {
  DownstreamHandler,
  DownstreamSession,
  UpstreamHandler,
  UpstreamSession,
} from '../session/index.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { RetryBuffer } from './retry-buffer.js'
import type { Session } from './session.js'

/** Who is told that an exchange with an upstream is over. */
export interface ExchangeOwner<Ctx> {
  /** The exchange has become a tunnel, of which the client knows; the relay has no part in it. */
  tunnelOpened(relay: Relay<Ctx>, upstream: UpstreamSession): void
  /** Comes once for each exchange that did not, with the error that ended it, if one did. */
  exchangeEnded(relay: Relay<Ctx>, upstream: UpstreamSession, error: ProxyError | null): void
}

/**
 * Listens to both sides of a request, from its start to its end and over all attempts. Each direction
 * stops at its source while its sink is full or a filter is at work, so that no more than one read
 * is ever held.
 */
export class Relay<Ctx> implements DownstreamHandler, UpstreamHandler {
  /** Why the client's side is over; `null` while it is not. */
  clientError: ProxyError | null = null
  /** Called once when the client's side is over, for waits that the relay knows nothing of. */
  onClientGone: (() => void) | null = null
  /** What hooks know of the request. */
  readonly session: Session
  /** The state that the request's hooks share. */
  readonly ctx: Ctx
  /** The client's side of the request. */
  readonly downstream: DownstreamSession
  /** The request body as far as it came, for another attempt; made when there is a body. */
  #retryBuffer: RetryBuffer | null = null
  readonly #maxRetryBytes: number
  readonly #hooks: Hooks<Ctx>
  #upstream: UpstreamSession | null = null
  #owner: ExchangeOwner<Ctx> | null = null
  /** Whether a filter of this direction is at work, or its sink is full. */
  #requestFiltering = false
  #requestBlocked = false
  #responseFiltering = false
  #responseBlocked = false
  #requestEnded = false
  #requestTrailers: HeaderMap | null = null

  constructor(
    hooks: Hooks<Ctx>,
    session: Session,
    ctx: Ctx,
    downstream: DownstreamSession,
    maxRetryBytes: number,
  ) {
    this.#hooks = hooks
    this.session = session
    this.ctx = ctx
    this.downstream = downstream
    this.#maxRetryBytes = maxRetryBytes
    downstream.handler = this
  }

  /** Whether all of the request body that has come could be sent again. */
  get isBodyKept(): boolean {
    return this.#retryBuffer?.complete ?? true
  }

  /** Sends `request` on `upstream`; `owner` is told once how the exchange ended. */
  start(upstream: UpstreamSession, request: RequestHeader, owner: ExchangeOwner<Ctx>): void {
    this.#upstream = upstream
    this.#owner = owner
    this.#requestFiltering = false
    this.#requestBlocked = false
    try {
      this.#sendRequest(upstream, request)
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  // The request: downstream to upstream

  #sendRequest(upstream: UpstreamSession, request: RequestHeader): void {
    const { bodyLength, acceptsTrailers } = this.downstream
    const { method, target } = this.downstream.header
    if (request.method !== method || request.target !== target) request.assertWritable()
    // A client that did not ask for it would take the tunnel for a response.
    if (request.upgrade !== null && request.upgrade !== this.downstream.upgrade) {
      throw new ProxyError('PGR_OPTION_INVALID', 'upgrade: the client did not ask for it')
    }
    const length = declaredLength(request.headers, bodyLength === 0 ? 0 : CHUNKED)
    upstream.writeHeader(request, length, acceptsTrailers)
    const again = this.#retryBuffer?.pieces ?? []
    // An end that an earlier attempt was told of is not told again.
    if (again.length > 0 || this.#requestEnded) {
      void this.#replay(upstream, again)
      return
    }
    // Within a read the body may be at hand: then the head leaves together with it.
    if (!this.downstream.readBody()) upstream.flush()
  }

  /** Sends what an earlier attempt has read already; the rest of the body follows live. */
  async #replay(upstream: UpstreamSession, pieces: readonly Buffer[]): Promise<void> {
    try {
      for (const piece of [...pieces]) {
        const verdict = this.#hooks.requestBodyFilter?.(this.session, piece, false, this.ctx)
        const out = chosen(isPromise(verdict) ? await verdict : verdict, piece)
        if (this.#upstream !== upstream) return
        // At most the retry limit is queued here, so the drain need not be waited for.
        if (out !== null) upstream.writeBody(out, 0, out.length)
      }
      if (this.#requestEnded) this.#endRequest(this.#requestTrailers)
      else this.downstream.readBody()
      upstream.flush()
    } catch (thrown) {
      if (this.#upstream === upstream) this.#fail(hookError(thrown))
    }
  }

  onRequestData(buffer: Buffer, from: number, to: number): void {
    const upstream = this.#upstream
    if (upstream === null) return
    this.#retryBuffer ??= new RetryBuffer(this.#maxRetryBytes)
    this.#retryBuffer.keep(buffer, from, to)
    const filter = this.#hooks.requestBodyFilter
    try {
      if (filter === null) {
        this.#writeUp(upstream, buffer, from, to)
        return
      }
      const piece = buffer.subarray(from, to)
      const verdict = filter(this.session, piece, false, this.ctx)
      if (!isPromise(verdict)) {
        this.#writeChosenUp(upstream, verdict, piece)
        return
      }
      this.#requestFiltering = true
      this.downstream.retain()
      this.downstream.pauseBody()
      this.#continue(upstream, verdict, (result) => {
        this.#requestFiltering = false
        this.#writeChosenUp(upstream, result, piece)
        upstream.flush()
        if (!this.#requestBlocked) this.downstream.readBody()
      })
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#requestEnded = true
    this.#requestTrailers = trailers
    try {
      this.#endRequest(trailers)
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  onRequestReadEnd(): void {
    if (!this.#requestEnded) this.#upstream?.flush()
  }

  #endRequest(trailers: HeaderMap | null): void {
    const upstream = this.#upstream
    if (upstream === null) return
    const filter = this.#hooks.requestBodyFilter
    const verdict = filter?.(this.session, undefined, true, this.ctx)
    if (isPromise(verdict)) {
      this.#continue(upstream, verdict, (result) => {
        this.#writeChosenUp(upstream, result, null)
        upstream.writeEnd(trailers)
      })
      return
    }
    this.#writeChosenUp(upstream, verdict, null)
    upstream.writeEnd(trailers)
  }

  #writeChosenUp(
    upstream: UpstreamSession,
    verdict: BodyVerdict | void,
    piece: Buffer | null,
  ): void {
    const out = chosen(verdict, piece)
    if (out !== null) this.#writeUp(upstream, out, 0, out.length)
  }

  #writeUp(upstream: UpstreamSession, buffer: Buffer, from: number, to: number): void {
    if (upstream.writeBody(buffer, from, to)) return
    this.#requestBlocked = true
    this.downstream.retain()
    this.downstream.pauseBody()
  }

  onUpstreamDrain(): void {
    if (!this.#requestBlocked) return
    this.#requestBlocked = false
    if (!this.#requestFiltering && !this.#requestEnded) this.downstream.readBody()
  }

  // The response: upstream to downstream

  onInterim(header: ResponseHeader): void {
    const upstream = this.#upstream
    if (upstream !== null) this.#filterResponse(upstream, header, null)
  }

  onResponse(header: ResponseHeader, bodyLength: BodyLength): void {
    const upstream = this.#upstream
    if (upstream !== null) this.#filterResponse(upstream, header, bodyLength)
  }

  /**
   * Runs both head filters, then writes the head; waits only where a filter does.
   * @param bodyLength `null` for an interim response.
   */
  #filterResponse(
    upstream: UpstreamSession,
    header: ResponseHeader,
    bodyLength: BodyLength | null,
  ): void {
    const { upstreamResponseFilter, responseFilter } = this.#hooks
    try {
      const first = upstreamResponseFilter?.(this.session, header, this.ctx)
      const both = isPromise(first)
        ? first.then(() => responseFilter?.(this.session, header, this.ctx))
        : responseFilter?.(this.session, header, this.ctx)
      if (!isPromise(both)) {
        this.#writeResponse(header, bodyLength)
        return
      }
      this.#holdResponse(upstream)
      this.#continue(upstream, both, () => {
        this.#writeResponse(header, bodyLength)
        this.#releaseResponse(upstream)
      })
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  #writeResponse(header: ResponseHeader, bodyLength: BodyLength | null): void {
    if (bodyLength === null) {
      this.downstream.writeInterim(header)
      return
    }
    this.downstream.writeHeader(header, bodyLength)
    this.session.responseHeader = header
    if (bodyLength === TUNNEL) this.#openTunnel()
  }

  #openTunnel(): void {
    const upstream = this.#upstream
    const owner = this.#owner
    this.#upstream = null
    this.#owner = null
    if (upstream !== null) owner?.tunnelOpened(this, upstream)
  }

  onResponseData(buffer: Buffer, from: number, to: number): void {
    const upstream = this.#upstream
    if (upstream === null) return
    const filter = this.#hooks.responseBodyFilter
    try {
      if (filter === null) {
        this.#writeDown(upstream, buffer, from, to)
        return
      }
      const piece = buffer.subarray(from, to)
      const verdict = filter(this.session, piece, false, this.ctx)
      if (!isPromise(verdict)) {
        this.#writeChosenDown(upstream, verdict, piece)
        return
      }
      upstream.retain()
      this.#holdResponse(upstream)
      this.#continue(upstream, verdict, (result) => {
        this.#writeChosenDown(upstream, result, piece)
        this.#releaseResponse(upstream)
      })
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  onResponseEnd(trailers: HeaderMap | null): void {
    const upstream = this.#upstream
    if (upstream === null) return
    try {
      const verdict = this.#hooks.responseBodyFilter?.(this.session, undefined, true, this.ctx)
      if (isPromise(verdict)) {
        this.#continue(upstream, verdict, (result) => {
          this.#endResponse(upstream, result, trailers)
        })
        return
      }
      this.#endResponse(upstream, verdict, trailers)
    } catch (thrown) {
      this.#fail(hookError(thrown))
    }
  }

  onReadEnd(): void {
    this.downstream.flush()
  }

  #endResponse(
    upstream: UpstreamSession,
    verdict: BodyVerdict | void,
    trailers: HeaderMap | null,
  ): void {
    this.#writeChosenDown(upstream, verdict, null)
    const filter = trailers === null ? null : this.#hooks.responseTrailerFilter
    if (trailers === null || filter === null) {
      this.#completeResponse(trailers)
      return
    }
    const replaced = filter(this.session, trailers, this.ctx)
    if (isPromise(replaced)) {
      this.#continue(upstream, replaced, (bytes) => {
        this.#endWith(upstream, bytes, trailers)
      })
      return
    }
    this.#endWith(upstream, replaced, trailers)
  }

  /** @param bytes what is sent in place of the trailers, if anything. */
  #endWith(
    upstream: UpstreamSession,
    bytes: Uint8Array | undefined | void,
    trailers: HeaderMap,
  ): void {
    this.#writeChosenDown(upstream, bytes, null)
    this.#completeResponse(bytes === undefined ? trailers : null)
  }

  #completeResponse(trailers: HeaderMap | null): void {
    this.downstream.writeEnd(trailers)
    this.#end(null)
  }

  #writeChosenDown(
    upstream: UpstreamSession,
    verdict: BodyVerdict | void,
    piece: Buffer | null,
  ): void {
    const out = chosen(verdict, piece)
    if (out !== null) this.#writeDown(upstream, out, 0, out.length)
  }

  #writeDown(upstream: UpstreamSession, buffer: Buffer, from: number, to: number): void {
    if (this.downstream.writeBody(buffer, from, to)) return
    this.#responseBlocked = true
    upstream.retain()
    upstream.pause()
  }

  #holdResponse(upstream: UpstreamSession): void {
    this.#responseFiltering = true
    upstream.pause()
  }

  #releaseResponse(upstream: UpstreamSession): void {
    this.#responseFiltering = false
    // Both sides may be a tunnel's by now.
    if (this.#upstream !== upstream) return
    this.downstream.flush()
    if (!this.#responseBlocked) upstream.resume()
  }

  onDownstreamDrain(): void {
    if (!this.#responseBlocked) return
    this.#responseBlocked = false
    if (!this.#responseFiltering) this.#upstream?.resume()
  }

  // The end

  onDownstreamError(error: ProxyError): void {
    this.clientError = error
    this.onClientGone?.()
    this.#fail(error)
  }

  onUpstreamError(error: ProxyError): void {
    this.#fail(error)
  }

  /** Goes on when a filter's promise settles, unless the attempt is over by then. */
  #continue<T>(upstream: UpstreamSession, promise: Promise<T>, next: (result: T) => void): void {
    promise.then(
      (result) => {
        if (this.#upstream !== upstream) return
        try {
          next(result)
        } catch (thrown) {
          this.#fail(hookError(thrown))
        }
      },
      (thrown: unknown) => {
        if (this.#upstream === upstream) this.#fail(hookError(thrown))
      },
    )
  }

  #fail(error: ProxyError): void {
    if (this.#upstream === null) return
    this.downstream.pauseBody()
    this.#end(error)
  }

  /** Last of all, for the owner goes on to another attempt, or this connection to another request. */
  #end(error: ProxyError | null): void {
    const upstream = this.#upstream
    const owner = this.#owner
    this.#upstream = null
    this.#owner = null
    if (upstream !== null) owner?.exchangeEnded(this, upstream, error)
  }
}

/** What a hook threw, as an error that answers 500 unless the hook chose another status. */
export function hookError(thrown: unknown): ProxyError {
  return toProxyError(thrown, 'PGR_HOOK_FAILED')
}
