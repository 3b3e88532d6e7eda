/** `pingora-ts`: everything that most programs import. Parts stand alone under `pingora-ts/PART`. */
export { ProxyError } from './error/index.js'
export type { ErrorCode, ErrorSource, RetryDecision } from './error/index.js'
export { HeaderMap, RequestHeader, ResponseHeader } from './http/index.js'
export { GrpcWeb } from './modules/index.js'
export type { BodyVerdict, HttpModule, HttpModules } from './modules/index.js'
export { Backend, Backends, LoadBalancer, TcpHealthCheck } from './load-balancing/index.js'
export type { BackendSelection, HealthCheck, ServiceDiscovery } from './load-balancing/index.js'
export { httpProxyService } from './proxy/index.js'
export type {
  Attempt,
  Awaitable,
  FailToProxyVerdict,
  HttpProxyService,
  HttpProxyServiceOptions,
  ListenerSettings,
  ListenerTls,
  OwnResponse,
  ProxyHttp,
  Session,
} from './proxy/index.js'
export { Opt, Server, ServerConf, backgroundService } from './server/index.js'
export type {
  BackgroundContext,
  BackgroundService,
  ExecutionPhase,
  Service,
  ServiceContext,
  ServiceHandle,
} from './server/index.js'
export { SharedCounter } from './shared-memory/index.js'
export type { SharedCounterOptions } from './shared-memory/index.js'
export { HttpPeer } from './transport/index.js'
export type { ConnectionDigest, PeerOptions, TlsDigest } from './transport/index.js'
