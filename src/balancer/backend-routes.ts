/** How each backend is reached: TLS, time-outs, and the `Host` that it is asked for. */
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import type { Backend, BackendLike } from '../load-balancing/index.js'
import { parseHostAddress } from '../transport/index.js'
import type { PeerOptions } from '../transport/index.js'
import type { UpstreamSettings } from './balancer-settings.js'

/** The way to one backend. */
export interface BackendRoute {
  /** Options of its peers; one object for all requests. */
  readonly peer: PeerOptions
  /** The `Host` to ask for; `undefined`: the client's. */
  readonly host: string | undefined
}

/**
 * The ways to all backends of an upstream. A name stands for several backends, each of which knows
 * by its `ext` what it was written as.
 */
export class BackendRoutes {
  readonly #routes = new Map<unknown, BackendRoute>()
  readonly #upstream: UpstreamSettings

  /** @param defaultCa PEM to trust where the upstream names none. Default: what Node brings along. */
  constructor(upstream: UpstreamSettings, defaultCa?: string) {
    this.#upstream = upstream
    const ca = upstream.tls?.ca ?? (defaultCa === undefined ? undefined : Buffer.from(defaultCa))
    for (const { address } of upstream.backends) {
      this.#routes.set(address, routeTo(address, upstream, ca))
    }
  }

  /** What the load balancer is made from. */
  get backends(): BackendLike[] {
    return this.#upstream.backends.map(({ address, weight }) => ({
      address,
      weight,
      ext: { writtenAs: address },
    }))
  }

  /** O(1); called for every attempt. */
  of(backend: Backend): BackendRoute {
    const route = this.#routes.get(backend.ext['writtenAs'])
    assert(route, 'every backend comes from the list of its upstream')
    return route
  }
}

function routeTo(
  writtenAs: string,
  { hostHeader, protocol, maxH2Streams, network, timeouts, tls }: UpstreamSettings,
  ca: Buffer | undefined,
): BackendRoute {
  const peer: PeerOptions = {
    connectTimeoutMs: timeouts.connectMs,
    totalConnectTimeoutMs: timeouts.totalConnectMs,
    readTimeoutMs: timeouts.readMs,
    writeTimeoutMs: timeouts.writeMs,
    idleTimeoutMs: timeouts.idleMs,
    ...(protocol !== 'http1' && { protocol, maxH2Streams }),
    tunnelTimeoutMs: timeouts.tunnelMs,
    ...network,
    ...(tls && {
      tls: true,
      sni: tls.sni ?? ownName(writtenAs),
      verify: tls.verify,
      // The health check uses these options too, and knows nothing of the server's `ca_file`.
      ...(ca && { ca }),
      ...tls.identity,
    }),
  }
  const own = hostHeader === 'upstream' ? ownHost(writtenAs, tls !== undefined) : hostHeader?.name
  return { peer: Object.freeze(peer), host: own }
}

/** The host name of an address; empty for IP addresses and unix paths, which have none. */
function ownName(writtenAs: string): string {
  const address = parseHostAddress(writtenAs)
  return address.kind === 'name' ? address.host.replace(/\.$/, '') : ''
}

/** The address as `Host`; the port that the scheme implies is left out (RFC 9110 §4.2.3). */
function ownHost(writtenAs: string, tls: boolean): string {
  const address = parseHostAddress(writtenAs)
  if (address.kind === 'unix') return 'localhost'
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host
  return address.port === (tls ? 443 : 80) ? host : `${host}:${address.port}`
}
