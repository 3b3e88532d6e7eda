/** `ProxyHttp`: the hooks of a proxy, in the order in which a request meets them. */
import type { ProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import type { BodyVerdict, HttpModules } from '../modules/index.js'
import type { ConnectionDigest, HttpPeer } from '../transport/index.js'
import type { Session } from './session.js'

/** A value, or a promise of it; a value costs no wait. */
export type Awaitable<T> = T | Promise<T>

/** What `failToProxy` decides. */
export interface FailToProxyVerdict {
  /** Status of the error response; 0: nothing is sent. Default: the error's own status. */
  readonly status?: number
  /** The body of the error response, as text. Default: status and reason. */
  readonly body?: string
}

/**
 * A proxy: a class or a plain object with these hooks. Only `newCtx` and `upstreamPeer` are needed; a
 * hook that is absent costs one compare, one that returns no promise costs no wait. A hook that
 * throws ends the request: with the status of the `ProxyError` it threw, else with 500. Hooks marked
 * "not available yet" are refused when the proxy is built, so that none is silently ignored.
 *
 * `docs/guide/life-of-a-request.md` draws the order; Pingora's names are in
 * `docs/guide/from-pingora.md`.
 */
export interface ProxyHttp<Ctx = void> {
  /** Adds modules, which stand between clients and the hooks. Runs once, when the service is built. */
  initDownstreamModules?(modules: HttpModules): void

  /** Makes the state of one request, which every later hook gets. Must not throw. */
  newCtx(): Ctx

  /**
   * Runs first, before everything that could refuse the request. May change the request head.
   * Known: the request head and the client.
   */
  earlyRequestFilter?(session: Session, ctx: Ctx): Awaitable<void>

  /**
   * Runs before an upstream is chosen. May change the request head, or answer with
   * `session.respond(…)` and return `'responded'`: then only `logging` follows.
   */
  requestFilter?(session: Session, ctx: Ctx): Awaitable<'continue' | 'responded' | undefined | void>

  /** Turns caching on for this request. Not available yet. */
  requestCacheFilter?(session: Session, ctx: Ctx): Awaitable<void>

  /** Makes the cache key. Not available yet. */
  cacheKeyCallback?(session: Session, ctx: Ctx): Awaitable<unknown>

  /** Runs after a cache miss, before an upstream is chosen. Not available yet. */
  proxyUpstreamFilter?(session: Session, ctx: Ctx): Awaitable<'continue' | 'responded'>

  /**
   * Chooses the upstream; runs again for every attempt. `undefined` answers 503. Peers that already
   * failed this request are in `session.attempts`.
   */
  upstreamPeer(session: Session, ctx: Ctx): Awaitable<HttpPeer | undefined>

  /**
   * No connection could be made, so nothing was sent. Set `error.retry = 'yes'` to try again, at most
   * `max_retries` attempts in all; or return another error. `upstreamPeer` chooses anew.
   */
  failToConnect?(
    session: Session,
    peer: HttpPeer,
    error: ProxyError,
    ctx: Ctx,
  ): Awaitable<ProxyError | undefined | void>

  /** A connection stands. `reused`: it came from the pool. */
  connectedToUpstream?(
    session: Session,
    reused: boolean,
    peer: HttpPeer,
    digest: ConnectionDigest,
    ctx: Ctx,
  ): Awaitable<void>

  /**
   * The last change of the head that goes upstream; it is a copy for this attempt. Removing
   * `Content-Length` makes the body chunked.
   */
  upstreamRequestFilter?(
    session: Session,
    upstreamRequest: RequestHeader,
    ctx: Ctx,
  ): Awaitable<void>

  /**
   * Sees each piece of the request body, then once `undefined` with `endOfStream`. A filter that
   * changes the length must have removed `Content-Length` in `upstreamRequestFilter`. On a retry it
   * sees the body again from its start. The piece is only valid during the call, or until the
   * returned promise settles.
   */
  requestBodyFilter?(
    session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    ctx: Ctx,
  ): Awaitable<BodyVerdict | void>

  /** May change the response head as the upstream sent it, interim (1xx) ones included. */
  upstreamResponseFilter?(
    session: Session,
    upstreamResponse: ResponseHeader,
    ctx: Ctx,
  ): Awaitable<void>

  /** Sees the body before the cache does. Not available yet. */
  upstreamResponseBodyFilter?(
    session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    ctx: Ctx,
  ): Awaitable<BodyVerdict | void>

  /** Sees the trailers before the cache does. Not available yet. */
  upstreamResponseTrailerFilter?(session: Session, trailers: HeaderMap, ctx: Ctx): Awaitable<void>

  /** Decides whether the response is cached. Not available yet. */
  responseCacheFilter?(session: Session, response: ResponseHeader, ctx: Ctx): Awaitable<unknown>

  /**
   * May change the response head before the client gets it, interim (1xx) ones included. Removing
   * `Content-Length` makes the body chunked.
   */
  responseFilter?(session: Session, response: ResponseHeader, ctx: Ctx): Awaitable<void>

  /**
   * Sees each piece of the response body, then once `undefined` with `endOfStream`. A filter that
   * changes the length must have removed `Content-Length` in `responseFilter`. The piece is only
   * valid during the call, or until the returned promise settles.
   */
  responseBodyFilter?(
    session: Session,
    body: Buffer | undefined,
    endOfStream: boolean,
    ctx: Ctx,
  ): Awaitable<BodyVerdict | void>

  /**
   * Runs when a response has trailers, after the end of `responseBodyFilter`. May change them, or
   * return bytes that are sent as body in their place.
   */
  responseTrailerFilter?(
    session: Session,
    trailers: HeaderMap,
    ctx: Ctx,
  ): Awaitable<Uint8Array | undefined | void>

  /**
   * The exchange failed after the connection stood, a hook's throw included. `reused`: the connection
   * came from the pool. Set `error.retry`, or return another error; once the response has begun no
   * retry is made. Default: `if-reused` errors are retried when the connection was reused, the body
   * fits the retry buffer, and the method is idempotent or nothing was sent.
   */
  errorWhileProxy?(
    session: Session,
    peer: HttpPeer,
    error: ProxyError,
    ctx: Ctx,
    reused: boolean,
  ): ProxyError | undefined | void

  /** Whether a stale cached response may be served instead. Not available yet. */
  shouldServeStale?(session: Session, ctx: Ctx, error: ProxyError | undefined): boolean

  /**
   * All attempts failed. May answer by itself with `session.respond(…)`, or choose status and body of
   * the error response.
   */
  failToProxy?(
    session: Session,
    error: ProxyError,
    ctx: Ctx,
  ): Awaitable<FailToProxyVerdict | undefined | void>

  /** Returns true to leave the log line about the failure out. */
  suppressErrorLog?(session: Session, ctx: Ctx, error: ProxyError): boolean

  /** How the request is called in log lines. Default: method, path and Host. */
  requestSummary?(session: Session, ctx: Ctx): string

  /** Runs last, exactly once for every parsed request, whatever happened. What it throws is logged. */
  logging?(session: Session, error: ProxyError | undefined, ctx: Ctx): Awaitable<void>
}
