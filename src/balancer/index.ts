/** `pingora-ts/balancer`: the ready-made balancer, from a configuration file to services. */
export { BackendRoutes } from './backend-routes.js'
export type { BackendRoute } from './backend-routes.js'
export { BalancerProxy } from './balancer-proxy.js'
export type { BalancerProxyParts } from './balancer-proxy.js'
export { BALANCER_DEFAULTS, defaultSettings } from './balancer-settings.js'
export type {
  BackendSettings,
  BalancerListener,
  BalancerSettings,
  ClientLimits,
  ConnectionLimits,
  ForwardingSettings,
  HealthCheckSettings,
  HostHeader,
  RetrySettings,
  UpstreamSettings,
  UpstreamTimeouts,
  UpstreamTls,
} from './balancer-settings.js'
export { createBalancer } from './create-balancer.js'
export type { CreateBalancerOptions } from './create-balancer.js'
export { hostHeaderOf, loadBalancerFile, readBalancer } from './read-balancer.js'
export type { BalancerFile } from './read-balancer.js'
