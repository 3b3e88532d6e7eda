/** What the ready-made balancer does: the configuration file or command line, resolved and checked. */

/** Everything a balancer is built from. */
export interface BalancerSettings {
  /** Where clients connect, as `1.2.3.4:80`, `[::]:80` or `unix:/PATH`; at least one. */
  readonly listeners: readonly string[]
  /** Where all requests go. */
  readonly upstream: UpstreamSettings
  /** What upstreams are told about the client. */
  readonly forwarding: ForwardingSettings
  /** Limits on connections from clients. */
  readonly maxConnections: ConnectionLimits
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
  /** How TLS is spoken; `undefined`: it is not. */
  readonly tls: UpstreamTls | undefined
  /** How backends are checked; `undefined`: they are not. */
  readonly healthCheck: HealthCheckSettings | undefined
  readonly retries: RetrySettings
  readonly timeouts: UpstreamTimeouts
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
  readonly verify: boolean
  /** Trusted certificates in place of the system's, PEM. Bytes, so that their hash is kept. */
  readonly ca: Buffer | undefined
  /** Our certificate and key, PEM. */
  readonly identity: { readonly cert: Buffer; readonly key: Buffer } | undefined
}

/** How and how often backends are checked. */
export interface HealthCheckSettings {
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly consecutiveSuccess: number
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
  readonly connectMs: number
  readonly totalConnectMs: number
  readonly readMs: number
  readonly writeMs: number
  readonly idleMs: number
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
  readonly perListener: number
  /** By IP address. */
  readonly perClient: number
}

/** The defaults, which `docs/reference` repeats. */
export const BALANCER_DEFAULTS: {
  readonly forwarding: ForwardingSettings
  readonly healthCheck: HealthCheckSettings
  readonly maxConnections: ConnectionLimits
  readonly retries: RetrySettings
  readonly timeouts: UpstreamTimeouts
} = Object.freeze({
  forwarding: { xForwarded: true, via: true, forwarded: false, trustedProxies: [] },
  healthCheck: {
    intervalMs: 1_000,
    timeoutMs: 1_000,
    consecutiveSuccess: 1,
    consecutiveFailure: 1,
  },
  maxConnections: { perListener: 10_000, perClient: 0 },
  retries: { max: 1, on: ['connect', 'reset'] as const },
  timeouts: {
    connectMs: 1_000,
    totalConnectMs: 3_000,
    readMs: 60_000,
    writeMs: 60_000,
    idleMs: 60_000,
  },
})
