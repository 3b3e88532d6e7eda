/** The TCP check of an upstream whose backends may each need another TLS name. */
import { TcpHealthCheck } from '../load-balancing/index.js'
import type { Backend, HealthCheck } from '../load-balancing/index.js'
import type { Environment, PeerOptions } from '../transport/index.js'
import type { BackendRoutes } from './backend-routes.js'
import type { HealthCheckSettings } from './balancer-settings.js'

/** Checks each backend the way that requests reach it, with the TLS handshake where they do one. */
export class BackendHealthCheck implements HealthCheck {
  readonly consecutiveSuccess: number
  readonly consecutiveFailure: number
  readonly timeoutMs: number
  readonly #settings: HealthCheckSettings
  readonly #routes: BackendRoutes
  readonly #checks = new Map<PeerOptions, TcpHealthCheck>()

  constructor(settings: HealthCheckSettings, routes: BackendRoutes) {
    this.consecutiveSuccess = settings.consecutiveSuccess
    this.consecutiveFailure = settings.consecutiveFailure
    // Beyond the limit of the check itself, whose error says more.
    this.timeoutMs = settings.timeoutMs + 1_000
    this.#settings = settings
    this.#routes = routes
  }

  check(backend: Backend, signal: AbortSignal, env: Environment): Promise<void> {
    const { peer } = this.#routes.of(backend)
    let check = this.#checks.get(peer)
    if (!check) {
      check = new TcpHealthCheck({ connectTimeoutMs: this.#settings.timeoutMs, peer })
      this.#checks.set(peer, check)
    }
    return check.check(backend, signal, env)
  }
}
