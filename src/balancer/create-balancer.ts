/** Builds the services of the ready-made balancer from its settings. */
import type { ProxyError } from '../error/index.js'
import { LoadBalancer } from '../load-balancing/index.js'
import { httpProxyService } from '../proxy/index.js'
import type { Session } from '../proxy/index.js'
import { backgroundService } from '../server/index.js'
import type { ServerConf, Service } from '../server/index.js'
import type { Environment } from '../transport/index.js'
import { BackendHealthCheck } from './backend-health-check.js'
import { BackendRoutes } from './backend-routes.js'
import { BalancerProxy } from './balancer-proxy.js'
import type { BalancerSettings } from './balancer-settings.js'

/** What a balancer is built on besides its settings. */
export interface CreateBalancerOptions {
  /** Time, network and chance. Default: the machine's. */
  readonly env?: Environment
  /** Told of every request when it is over. Default: nobody is. */
  readonly onRequest?: (session: Session, error: ProxyError | undefined) => void
}

/**
 * Looks up the names of the backends and builds the services: the health checks, if any, and the
 * proxy with its listeners. Add them to a server.
 * @throws {@link ProxyError} (rejects) `PGR_RESOLVE_FAILED` when a backend's name has no address;
 * `PGR_ADDRESS_INVALID`, `PGR_OPTION_INVALID` for settings made in code that do not fit.
 */
export async function createBalancer(
  conf: ServerConf,
  settings: BalancerSettings,
  { env, onRequest }: CreateBalancerOptions = {},
): Promise<Service[]> {
  const { upstream, maxConnections } = settings
  const { maxRetryBytes, ...limits } = settings.limits
  const routes = new BackendRoutes(upstream, conf.ca)
  const balancer = await LoadBalancer.tryFromIter(routes.backends, {
    name: upstream.name,
    selection: upstream.balance,
    ...(env && { env }),
  })
  const parts = { settings, balancer, routes, ...(onRequest && { onRequest }) }
  const proxy = httpProxyService(conf, new BalancerProxy(parts), {
    name: 'balancer',
    maxConnections: maxConnections.perListener,
    maxConnectionsPerClient: maxConnections.perClient,
    limits,
    maxRetryBytes,
    timeouts: settings.clientTimeouts,
    abortOnClose: settings.abortOnClose,
    ...(upstream.maxIdle !== undefined && { maxIdleUpstreams: upstream.maxIdle }),
  })
  for (const { address, tls, h2c, network } of settings.listeners)
    proxy.addListener(address, { ...network, h2c, ...(tls && { tls }) })
  if (!upstream.healthCheck) return [proxy]
  balancer.setHealthCheck(new BackendHealthCheck(upstream.healthCheck, routes))
  balancer.healthCheckFrequencyMs = upstream.healthCheck.intervalMs
  // One backend that does not answer must not delay the news about the others.
  balancer.parallelHealthCheck = true
  return [backgroundService(`health checks of ${upstream.name}`, balancer), proxy]
}
