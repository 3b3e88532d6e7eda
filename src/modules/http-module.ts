/** `HttpModule`: a piece of HTTP that stands between the client and the hooks, ready to be used again. */
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'

/**
 * What a body filter says: nothing (the piece passes unchanged), other bytes in its place, or `null`
 * (the piece is dropped).
 */
export type BodyVerdict = Uint8Array | null | undefined

/**
 * What a module does with one request; an object of its own for each, so what it keeps is its own.
 * All filters are optional, and all but the first synchronous. It sees heads and bytes, never the
 * `Session`. What it throws ends the request, with the status of the `ProxyError`, else with 500.
 */
export interface HttpModule {
  /** Runs after `earlyRequestFilter` and before `requestFilter`. May change the head of the request. */
  requestHeaderFilter?(request: RequestHeader): void | Promise<void>

  /**
   * Sees each piece of the request body before the hooks do, then once `undefined` with `endOfStream`;
   * once only, whatever attempts are made. The piece is only valid during the call. To change the length,
   * remove Content-Length in `requestHeaderFilter`.
   */
  requestBodyFilter?(body: Buffer | undefined, endOfStream: boolean): BodyVerdict | void

  /**
   * Sees the final head of each response, those of hooks and failures included, right before it is
   * written. May change it.
   */
  responseHeaderFilter?(response: ResponseHeader): void

  /** Sees what is written of the response body, as `requestBodyFilter` does of the request's. */
  responseBodyFilter?(body: Buffer | undefined, endOfStream: boolean): BodyVerdict | void

  /** May change the trailers of a response, or return bytes that are sent as body in their place. */
  responseTrailerFilter?(trailers: HeaderMap): Uint8Array | undefined | void
}

/** A class of modules. */
export type ModuleClass<M extends HttpModule> = abstract new (...args: never[]) => M

/** Makes the modules of one class. */
export interface HttpModuleBuilder<M extends HttpModule = HttpModule> {
  /** Under which `session.modules.get` has it. */
  readonly module: ModuleClass<M>
  /** Higher runs first, in all filters; equal ones in the order in which they were added. Default: 0. */
  readonly order?: number
  /** Makes the module of one request. Must not throw. */
  init(): M
}
