/** `pingora-ts/proxy`: the hooks, the session that they see, and the service that runs them. */
export { HttpProxyService, httpProxyService } from './http-proxy-service.js'
export type { HttpProxyServiceOptions, ListenerSettings } from './http-proxy-service.js'
export type { BodyVerdict } from '../modules/index.js'
export { readTicketKey } from './listener-tls.js'
export type { CertificateFiles, ClientCertificateFiles, ListenerTls } from './listener-tls.js'
export type { Awaitable, FailToProxyVerdict, ProxyHttp } from './proxy-http.js'
export { Session } from './session.js'
export type { Attempt, OwnResponse } from './session.js'
