/** What the ready-made balancer does: the configuration file or command line, resolved and checked. */
import { REQUEST_LIMITS } from '../protocols/index.js'
import type { RequestLimits } from '../protocols/index.js'
import type { ListenerSettings, ListenerTls } from '../proxy/index.js'
import { DOWNSTREAM_TIMEOUTS } from '../session/index.js'
import type { DownstreamTimeouts } from '../session/index.js'
import type { PeerOptions, UpstreamProtocol } from '../transport/index.js'

/** Everything a balancer is built from. */
export interface BalancerSettings {
  /** Where clients connect; at least one. */
  readonly listeners: readonly BalancerListener[]
  /** Where all requests go. */
  readonly upstream: UpstreamSettings
  /** What upstreams are told about the client. */
  readonly forwarding: ForwardingSettings
  /** Limits on connections from clients. */
  readonly maxConnections: ConnectionLimits
  /** Limits on requests. */
  readonly limits: ClientLimits
  /** Time-outs towards clients. */
  readonly clientTimeouts: DownstreamTimeouts
  /** Whether a FIN after a complete request means that the client is gone. */
  readonly abortOnClose: boolean
}

/** One place where clients connect. */
export interface BalancerListener {
  /** `1.2.3.4:80`, `[::]:80` or `unix:/PATH`. */
  readonly address: string
  /** How TLS is spoken, with the paths of its files; `undefined`: it is not. */
  readonly tls: ListenerTls | undefined
  /** Whether clients may speak HTTP/2 by prior knowledge where there is no TLS. Default: false. */
  readonly h2c: boolean
  /** Who may connect, PROXY headers, options of the socket. Default: the documented ones. */
  readonly network?: Omit<ListenerSettings, 'h2c' | 'tls'>
}

/** A group of servers that can answer the same requests. */
export interface UpstreamSettings {
  /** Name for the log. */
  readonly name: string
  /** The servers; at least one. */
  readonly backends: readonly BackendSettings[]
  /** How one is chosen. */
  readonly balance: 'round_robin' | 'random'
  /** `Host` of upstream requests; `undefined`: the client's. */
  readonly hostHeader: HostHeader | undefined
  /** What is spoken to the servers; `h2` needs `tls`, and `h2c` is without it. */
  readonly protocol: UpstreamProtocol
  /** Requests at once on one HTTP/2 connection, from 1; fewer where the server allows fewer. */
  readonly maxH2Streams: number
  /** Whether calls of gRPC-Web are made ones of gRPC, which needs HTTP/2. Default: false. */
  readonly grpcWeb: boolean
  /** How TLS is spoken; `undefined`: it is not. */
  readonly tls: UpstreamTls | undefined
  /** How backends are checked; `undefined`: they are not. */
  readonly healthCheck: HealthCheckSettings | undefined
  /** When a request that failed is tried again. */
  readonly retries: RetrySettings
  /** Time-outs towards each backend. */
  readonly timeouts: UpstreamTimeouts
  /** PROXY headers, the way to the backends, options of sockets. Default: the documented ones. */
  readonly network?: Pick<PeerOptions, 'bindTo' | 'proxy' | 'proxyProtocol' | 'socket'>
  /** Idle connections kept; `undefined`: the server's `upstream_keepalive_pool_size`. */
  readonly maxIdle: number | undefined
}

/** One server, or all servers of a name. */
export interface BackendSettings {
  /** `HOST:PORT` or `unix:/PATH`. */
  readonly address: string
  /** Share of the traffic against the others. */
  readonly weight: number
}

/** A fixed name, or the name that the backend was written with. */
export type HostHeader = { readonly name: string } | 'upstream'

/** TLS to the backends. */
export interface UpstreamTls {
  /** Name to ask for and verify; `undefined`: the name that the backend was written with. */
  readonly sni: string | undefined
  /** Whether the certificate is verified, chain and name. */
  readonly verify: boolean
  /**
   * Trusted certificates, PEM; `undefined`: those of `ca_file`, else those that Node brings along.
   * Bytes, so that their hash is kept.
   */
  readonly ca: Buffer | undefined
  /** Our certificate and key, PEM. */
  readonly identity: { readonly cert: Buffer; readonly key: Buffer } | undefined
}

/** How and how often backends are checked. */
export interface HealthCheckSettings {
  /** Time from the start of one round to the start of the next, in ms, from 1. */
  readonly intervalMs: number
  /** Time for the connection and the TLS handshake together, in ms, from 1. */
  readonly timeoutMs: number
  /** Checks in a row that must succeed before a backend is healthy again, from 1. */
  readonly consecutiveSuccess: number
  /** Checks in a row that must fail before a backend is unhealthy, from 1. */
  readonly consecutiveFailure: number
}

/** When another attempt is made. */
export interface RetrySettings {
  /** Attempts after the first; the server's `max_retries` bounds the total. */
  readonly max: number
  /** After which failures. `reset`: closed or reset before the first byte of the response. */
  readonly on: readonly ('connect' | 'reset')[]
}

/** Time-outs towards a backend in ms; 0 switches one off, but `idle` 0 keeps no connection. */
export interface UpstreamTimeouts {
  /** For TCP connect, and again for the TLS handshake. */
  readonly connectMs: number
  /** For name, connect and TLS together. */
  readonly totalConnectMs: number
  /** Longest gap between bytes from the backend while an answer is awaited. */
  readonly readMs: number
  /** Longest time in which the backend takes none of the bytes that wait. */
  readonly writeMs: number
  /** Longest time of an idle connection in the pool. */
  readonly idleMs: number
  /** Longest time without a byte in either direction of a tunnel, such as a WebSocket. */
  readonly tunnelMs: number
}

/** Which fields say who the client is. */
export interface ForwardingSettings {
  /** `X-Forwarded-For`, `-Host` and `-Proto`. */
  readonly xForwarded: boolean
  /** `Via` (RFC 9110 §7.6.3). */
  readonly via: boolean
  /** `Forwarded` (RFC 7239). */
  readonly forwarded: boolean
  /** IP addresses, networks such as `10.0.0.0/8`, or `unix:`, whose own such fields are believed. */
  readonly trustedProxies: readonly string[]
}

/** Limits on connections from clients; 0: none. */
export interface ConnectionLimits {
  /** At once on one listener. */
  readonly perListener: number
  /** At once on one listener from one IP address. */
  readonly perClient: number
}

/** Limits on requests from clients. */
export interface ClientLimits extends RequestLimits {
  /** Bytes of a request body kept for another attempt; a larger one is not retried. */
  readonly maxRetryBytes: number
}

/** The defaults, which `docs/guide` repeats. */
export const BALANCER_DEFAULTS: {
  readonly abortOnClose: boolean
  readonly clientTimeouts: DownstreamTimeouts
  readonly forwarding: ForwardingSettings
  readonly healthCheck: HealthCheckSettings
  readonly limits: ClientLimits
  readonly maxConnections: ConnectionLimits
  readonly maxH2Streams: number
  readonly retries: RetrySettings
  readonly timeouts: UpstreamTimeouts
} = Object.freeze({
  abortOnClose: true,
  clientTimeouts: DOWNSTREAM_TIMEOUTS,
  forwarding: { xForwarded: true, via: true, forwarded: false, trustedProxies: [] },
  healthCheck: {
    intervalMs: 1_000,
    timeoutMs: 1_000,
    consecutiveSuccess: 1,
    consecutiveFailure: 1,
  },
  limits: { ...REQUEST_LIMITS, maxRetryBytes: 65_536 },
  maxConnections: { perListener: 10_000, perClient: 0 },
  maxH2Streams: 100,
  retries: { max: 1, on: ['connect', 'reset'] as const },
  timeouts: {
    connectMs: 1_000,
    totalConnectMs: 3_000,
    readMs: 60_000,
    writeMs: 60_000,
    idleMs: 60_000,
    tunnelMs: 300_000,
  },
})

/** The settings of a balancer for which only its listeners and its upstream were chosen. */
export function defaultSettings(
  listeners: readonly string[],
  upstream: Omit<UpstreamSettings, 'maxH2Streams' | 'grpcWeb' | 'retries' | 'timeouts' | 'maxIdle'>,
): BalancerSettings {
  const {
    maxH2Streams,
    retries,
    timeouts,
    forwarding,
    maxConnections,
    limits,
    clientTimeouts,
    abortOnClose,
  } = BALANCER_DEFAULTS
  return {
    listeners: listeners.map((address) => ({ address, tls: undefined, h2c: false })),
    upstream: { ...upstream, maxH2Streams, grpcWeb: false, retries, timeouts, maxIdle: undefined },
    forwarding,
    maxConnections,
    limits,
    clientTimeouts,
    abortOnClose,
  }
}
