/** `BalancerProxy`: the ready-made proxy behind the configuration file and the command. */
import type { ProxyError } from '../error/index.js'
import type { RequestHeader } from '../http/index.js'
import type { Backend, LoadBalancer } from '../load-balancing/index.js'
import { GrpcWeb } from '../modules/index.js'
import type { HttpModules } from '../modules/index.js'
import type { ProxyHttp, Session } from '../proxy/index.js'
import { HttpPeer } from '../transport/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import type { BackendRoutes } from './backend-routes.js'
import type { BalancerSettings, RetrySettings } from './balancer-settings.js'
import { Forwarding } from './forwarding.js'

/** What a {@link BalancerProxy} is made of. */
export interface BalancerProxyParts {
  /** What the file or the command line asks for. */
  readonly settings: BalancerSettings
  /** Chooses the backends. */
  readonly balancer: LoadBalancer
  /** How each backend is reached. */
  readonly routes: BackendRoutes
  /** Told of every request when it is over. Default: nobody is. */
  readonly onRequest?: (session: Session, error: ProxyError | undefined) => void
}

/** Sends all requests to one upstream. All it knows of a request is in its session. */
export class BalancerProxy implements ProxyHttp {
  readonly #balancer: LoadBalancer
  readonly #routes: BackendRoutes
  readonly #retries: RetrySettings
  readonly #forwarding: Forwarding
  /** Both are absent unless they are wanted, because then they cost nothing. */
  readonly initDownstreamModules?: (modules: HttpModules) => void
  readonly logging?: (session: Session, error: ProxyError | undefined) => void

  constructor({ settings, balancer, routes, onRequest }: BalancerProxyParts) {
    this.#balancer = balancer
    this.#routes = routes
    this.#retries = settings.upstream.retries
    this.#forwarding = new Forwarding(settings.forwarding)
    if (settings.upstream.grpcWeb) this.initDownstreamModules = addGrpcWeb
    if (onRequest) this.logging = onRequest
  }

  newCtx(): void {
    // The session's list of attempts is all the state there is.
  }

  upstreamPeer(session: Session): HttpPeer | undefined {
    const backend =
      session.attempts.length === 0 ? this.#balancer.select('', MAX_OFFERS) : this.#another(session)
    return backend && new HttpPeer(backend, this.#routes.of(backend).peer)
  }

  failToConnect(session: Session, _peer: HttpPeer, error: ProxyError): void {
    if (this.#mayRetry(session, 'connect')) error.retry = 'yes'
  }

  errorWhileProxy(session: Session, _peer: HttpPeer, error: ProxyError): void {
    const reset = RESETS.has(error.code)
    if (!this.#mayRetry(session, 'reset')) error.retry = 'no'
    else if (reset && IDEMPOTENT.has(session.reqHeader.method)) error.retry = 'yes'
  }

  upstreamRequestFilter(session: Session, upstreamRequest: RequestHeader): void {
    const { headers } = upstreamRequest
    this.#forwarding.apply(headers, {
      clientIp: session.clientIp,
      scheme: spokeTls(session.digest) ? 'https' : 'http',
      host: session.getHeader('host'),
      version: session.reqHeader.version,
    })
    const backend = session.attempts.at(-1)?.peer.target as Backend
    const { host } = this.#routes.of(backend)
    if (host !== undefined) headers.set('Host', host)
  }

  /** A backend that has not failed this request; when all that are healthy have, one of those. */
  #another({ attempts }: Session): Backend | undefined {
    const failed = new Set(attempts.map(({ peer }) => peer.address))
    const fresh = (backend: Backend, healthy: boolean): boolean =>
      healthy && !failed.has(backend.address)
    return this.#balancer.selectWith('', MAX_OFFERS, fresh) ?? this.#balancer.select('', MAX_OFFERS)
  }

  #mayRetry(session: Session, failure: 'connect' | 'reset'): boolean {
    const { max, on } = this.#retries
    return session.attempts.length <= max && on.includes(failure)
  }
}

function addGrpcWeb(modules: HttpModules): void {
  modules.addModule({ module: GrpcWeb, init: () => new GrpcWeb() })
}

/** To us, or to the proxy that tells us of the client. */
function spokeTls({ tls, proxyProtocol }: ConnectionDigest): boolean {
  return tls !== null || proxyProtocol?.header.tls?.connected === true
}

/** Failures in which the peer was gone, or went, before it answered. */
const RESETS: ReadonlySet<string> = new Set([
  'PGR_UPSTREAM_CLOSED',
  'PGR_UPSTREAM_READ_FAILED',
  'PGR_UPSTREAM_WRITE_FAILED',
  'PGR_UPSTREAM_RESET',
  'PGR_UPSTREAM_H2_ERROR',
])

/** Doing these twice is doing them once (RFC 9110 §9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
])

/** Every backend may be offered; more than these no list has. */
const MAX_OFFERS = 1_000_000
