/** The hooks of a `ProxyHttp` and its modules, read once: absent ones are `null` and cost one compare. */
import { ProxyError } from '../error/index.js'
import { HttpModules } from '../modules/index.js'
import type { HttpModuleBuilder } from '../modules/index.js'
import type { ProxyHttp } from './proxy-http.js'

type Present<T> = Exclude<T, undefined>
type OptionalHook<Ctx, Name extends keyof ProxyHttp<Ctx>> = Present<ProxyHttp<Ctx>[Name]> | null

/** A frozen table of bound hooks. */
export interface Hooks<Ctx> {
  /** What `initDownstreamModules` has added, in the order in which they run; `null`: nothing. */
  readonly modules: readonly HttpModuleBuilder[] | null
  readonly newCtx: ProxyHttp<Ctx>['newCtx']
  readonly upstreamPeer: ProxyHttp<Ctx>['upstreamPeer']
  readonly earlyRequestFilter: OptionalHook<Ctx, 'earlyRequestFilter'>
  readonly requestFilter: OptionalHook<Ctx, 'requestFilter'>
  readonly failToConnect: OptionalHook<Ctx, 'failToConnect'>
  readonly connectedToUpstream: OptionalHook<Ctx, 'connectedToUpstream'>
  readonly upstreamRequestFilter: OptionalHook<Ctx, 'upstreamRequestFilter'>
  readonly requestBodyFilter: OptionalHook<Ctx, 'requestBodyFilter'>
  readonly upstreamResponseFilter: OptionalHook<Ctx, 'upstreamResponseFilter'>
  readonly responseFilter: OptionalHook<Ctx, 'responseFilter'>
  readonly responseBodyFilter: OptionalHook<Ctx, 'responseBodyFilter'>
  readonly responseTrailerFilter: OptionalHook<Ctx, 'responseTrailerFilter'>
  readonly errorWhileProxy: OptionalHook<Ctx, 'errorWhileProxy'>
  readonly failToProxy: OptionalHook<Ctx, 'failToProxy'>
  readonly suppressErrorLog: OptionalHook<Ctx, 'suppressErrorLog'>
  readonly requestSummary: OptionalHook<Ctx, 'requestSummary'>
  readonly logging: OptionalHook<Ctx, 'logging'>
}

/**
 * Reads the hooks of `proxy`, bound to it.
 * @throws {@link ProxyError} `PGR_NOT_AVAILABLE` for a hook that is not built yet, and
 * `PGR_OPTION_INVALID` for a missing or wrong one.
 */
export function readHooks<Ctx>(proxy: ProxyHttp<Ctx>): Hooks<Ctx> {
  for (const name of NOT_AVAILABLE) {
    if (proxy[name] !== undefined) {
      throw new ProxyError('PGR_NOT_AVAILABLE', `the hook ${name} is not available yet`)
    }
  }
  const optional = <Name extends keyof ProxyHttp<Ctx>>(name: Name): OptionalHook<Ctx, Name> => {
    const hook: unknown = proxy[name]
    if (hook === undefined) return null
    if (typeof hook !== 'function') {
      throw new ProxyError('PGR_OPTION_INVALID', `the hook ${name} is not a function`)
    }
    return hook.bind(proxy) as OptionalHook<Ctx, Name>
  }
  const required = <Name extends keyof ProxyHttp<Ctx>>(
    name: Name,
  ): Present<ProxyHttp<Ctx>[Name]> => {
    const hook = optional(name)
    if (hook === null) throw new ProxyError('PGR_OPTION_INVALID', `the hook ${name} is missing`)
    return hook
  }
  const modules = new HttpModules()
  optional('initDownstreamModules')?.(modules)
  const builders = modules.seal()
  return Object.freeze({
    modules: builders.length === 0 ? null : builders,
    newCtx: required('newCtx'),
    upstreamPeer: required('upstreamPeer'),
    earlyRequestFilter: optional('earlyRequestFilter'),
    requestFilter: optional('requestFilter'),
    failToConnect: optional('failToConnect'),
    connectedToUpstream: optional('connectedToUpstream'),
    upstreamRequestFilter: optional('upstreamRequestFilter'),
    requestBodyFilter: optional('requestBodyFilter'),
    upstreamResponseFilter: optional('upstreamResponseFilter'),
    responseFilter: optional('responseFilter'),
    responseBodyFilter: optional('responseBodyFilter'),
    responseTrailerFilter: optional('responseTrailerFilter'),
    errorWhileProxy: optional('errorWhileProxy'),
    failToProxy: optional('failToProxy'),
    suppressErrorLog: optional('suppressErrorLog'),
    requestSummary: optional('requestSummary'),
    logging: optional('logging'),
  })
}

/** Whether a hook's result has to be waited for. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return (
    value instanceof Promise ||
    (typeof value === 'object' &&
      value !== null &&
      'then' in value &&
      typeof value.then === 'function')
  )
}

const NOT_AVAILABLE = [
  'requestCacheFilter',
  'cacheKeyCallback',
  'proxyUpstreamFilter',
  'upstreamResponseBodyFilter',
  'upstreamResponseTrailerFilter',
  'responseCacheFilter',
  'shouldServeStale',
] as const
