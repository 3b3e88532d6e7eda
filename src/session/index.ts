/** `pingora-ts/session`: requests from clients and to upstreams, whatever protocol carries them. */
export type { DownstreamHandler, DownstreamSession } from './downstream-session.js'
export { H1ServerConnection } from './h1-server-connection.js'
export { DOWNSTREAM_TIMEOUTS } from './h1-server-options.js'
export type { CompleteResponse, DownstreamTimeouts, H1ServerOptions } from './h1-server-options.js'
export { H1UpstreamSession } from './h1-upstream-session.js'
export type { UpstreamTimeouts } from './h1-upstream-session.js'
export type { UpstreamHandler, UpstreamSession } from './upstream-session.js'
