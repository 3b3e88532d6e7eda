/** `pingora-ts/load-balancing`: backends, their discovery and health, and the choice among them. */
export { Backend } from './backend.js'
export type { BackendExt, BackendLike, BackendOptions } from './backend.js'
export { BackendSet } from './backend-set.js'
export { Backends } from './backends.js'
export type { BackendsOptions, RunOptions } from './backends.js'
export { StaticDiscovery } from './discovery/static-discovery.js'
export type { StaticDiscoveryOptions } from './discovery/static-discovery.js'
export type { DiscoveryResult, ServiceDiscovery } from './discovery/service-discovery.js'
export type { HealthCheck } from './health-check/health-check.js'
export { HealthTable } from './health-table.js'
export type { Readiness } from './health-table.js'
export { TcpHealthCheck } from './health-check/tcp-health-check.js'
export type { TcpHealthCheckOptions, TcpHealthCheckTls } from './health-check/tcp-health-check.js'
export { LoadBalancer } from './load-balancer.js'
export type { LoadBalancerContext, LoadBalancerOptions } from './load-balancer.js'
export type { SelectionName } from './selection/built-in.js'
export { Position } from './selection/position.js'
export { Random } from './selection/random.js'
export { RoundRobin } from './selection/round-robin.js'
export type {
  BackendSelection,
  BackendSelector,
  SelectionContext,
  SelectionKey,
} from './selection/selection.js'
