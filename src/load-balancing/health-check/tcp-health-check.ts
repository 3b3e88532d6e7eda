/** `TcpHealthCheck`: a backend works when it accepts a connection, with TLS if that is asked for. */
import { ProxyError, intInRange } from '../../error/index.js'
import { HttpPeer } from '../../transport/index.js'
import { dialPeer } from '../../transport/internal.js'
import type {
  Connection,
  ConnectionHandler,
  Environment,
  PeerOptions,
  Pem,
} from '../../transport/index.js'
import type { Backend } from '../backend.js'
import { withDeadline } from '../with-deadline.js'
import type { HealthCheck } from './health-check.js'

/** How TLS is checked. */
export interface TcpHealthCheckTls {
  /** Name to ask for by SNI and to verify. Default: empty; then the IP address is verified. */
  readonly sni?: string
  /** Trusted certificates. Default: those that Node brings along. */
  readonly ca?: Pem
  /** Verify the certificate, chain and name. Default: true. */
  readonly verify?: boolean
}

/** How a {@link TcpHealthCheck} checks. */
export interface TcpHealthCheckOptions {
  /** Do a TLS handshake as well. Default: only with `peer.tls`. */
  readonly tls?: TcpHealthCheckTls
  /** Time for the connection and the handshake together, in ms. 1 to 3600000. Default: 1000. */
  readonly connectTimeoutMs?: number
  /** Checks in a row that must succeed before a backend is healthy again. 1 to 1000. Default: 1. */
  readonly consecutiveSuccess?: number
  /** Checks in a row that must fail before a backend is unhealthy. 1 to 1000. Default: 1. */
  readonly consecutiveFailure?: number
  /** How to connect beyond that: client certificate, local address. Its time-outs are not used. */
  readonly peer?: PeerOptions
  /** Told each time that the health of a backend changes. */
  readonly onHealthChanged?: (backend: Backend, healthy: boolean) => void
  /** Default: the balancer's. */
  readonly env?: Environment
}

/** Connects and closes again. A connection is made for each check; none is kept. */
export class TcpHealthCheck implements HealthCheck {
  readonly consecutiveSuccess: number
  readonly consecutiveFailure: number
  /** Time for the connection and the handshake together, in ms. */
  readonly connectTimeoutMs: number
  readonly #peer: PeerOptions
  readonly #onHealthChanged: ((backend: Backend, healthy: boolean) => void) | undefined
  readonly #env: Environment | undefined

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` for a number out of range. */
  constructor(options: TcpHealthCheckOptions = {}) {
    const { connectTimeoutMs = 1_000, consecutiveSuccess = 1, consecutiveFailure = 1 } = options
    this.connectTimeoutMs = intInRange('connectTimeoutMs', connectTimeoutMs, 1, 3_600_000)
    this.consecutiveSuccess = intInRange('consecutiveSuccess', consecutiveSuccess, 1, 1_000)
    this.consecutiveFailure = intInRange('consecutiveFailure', consecutiveFailure, 1, 1_000)
    this.#peer = options.tls ? { ...options.peer, tls: true, ...options.tls } : (options.peer ?? {})
    this.#onHealthChanged = options.onHealthChanged
    this.#env = options.env
  }

  /** A check with a TLS handshake that asks for `sni` and verifies the certificate for it. */
  static tls(sni: string, options: TcpHealthCheckOptions = {}): TcpHealthCheck {
    return new TcpHealthCheck({ ...options, tls: { ...options.tls, sni } })
  }

  /** Beyond the check's own limit, which comes first and says more. */
  get timeoutMs(): number {
    return this.connectTimeoutMs + 1_000
  }

  /** @throws {@link ProxyError} (rejects) a `PGR_CONNECT_…`, `PGR_TLS_…` or `PGR_CERTIFICATE_…` code. */
  check(backend: Backend, signal: AbortSignal, balancerEnv: Environment): Promise<void> {
    const env = this.#env ?? balancerEnv
    const { connectTimeoutMs: timeoutMs } = this
    let connected = false
    const timeoutError = (): ProxyError =>
      connected
        ? new ProxyError('PGR_TLS_HANDSHAKE_TIMEOUT', `no TLS within ${timeoutMs} ms`)
        : new ProxyError('PGR_CONNECT_TIMEOUT', `no connection within ${timeoutMs} ms`)
    return withDeadline({ env, timeoutMs, signal, timeoutError }, async (checkSignal) => {
      const peer = new HttpPeer(backend, this.#peer)
      // No resumption: each check is to see a whole handshake and the certificate of that moment.
      const tls = peer.tls ? { ...peer.tlsOptions(), sessionKey: '' } : null
      const plain = await dialPeer(env.network, peer, checkSignal)
      connected = true
      close(tls ? await env.network.startTls(plain, tls, checkSignal) : plain)
    })
  }

  onHealthChanged(backend: Backend, healthy: boolean): void {
    this.#onHealthChanged?.(backend, healthy)
  }
}

function close(connection: Connection): void {
  connection.handler = DEAF
  connection.destroy()
}

const DEAF: ConnectionHandler = {
  onData: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onClose: ignore,
}

function ignore(): void {
  // The connection is being closed: nothing it says matters any more.
}
