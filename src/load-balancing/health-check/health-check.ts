/** `HealthCheck`: the interface of every way to find out whether a backend works. */
import type { Environment } from '../../transport/index.js'
import type { Backend } from '../backend.js'

/** Checks backends, one at a time or several at once. */
export interface HealthCheck {
  /** Checks in a row that must succeed before an unhealthy backend counts as healthy. Default: 1. */
  readonly consecutiveSuccess?: number
  /** Checks in a row that must fail before a healthy backend counts as unhealthy. Default: 1. */
  readonly consecutiveFailure?: number
  /** A check that takes longer is given up and has failed; in ms. Default: 10000. */
  readonly timeoutMs?: number
  /**
   * One check. Resolves when the backend works; rejects with the reason when it does not.
   * @param signal aborts when the result is no longer wanted: let go of everything then.
   * @param env the environment of the balancer.
   */
  check(backend: Backend, signal: AbortSignal, env: Environment): Promise<void>
  /** Told each time that the health of a backend changes. What it throws is logged. */
  onHealthChanged?(backend: Backend, healthy: boolean): void
}
