/** One round of health checks over a set of backends. */
import { setMaxListeners } from 'node:events'
import { ProxyError, describeThrown } from '../error/index.js'
import type { Logger } from '../observability/index.js'
import type { Environment } from '../transport/index.js'
import type { Backend } from './backend.js'
import type { BackendSet } from './backend-set.js'
import type { HealthCheck } from './health-check/health-check.js'
import { withDeadline } from './with-deadline.js'

/** What a round works with. */
export interface HealthRoundOptions {
  readonly check: HealthCheck
  /** The set of this moment; asked for again after each check, since an update may replace it. */
  readonly currentSet: () => BackendSet
  /** Check up to {@link MAX_PARALLEL_CHECKS} backends at once, not one after the other. */
  readonly parallel: boolean
  /** Ends the round; checks under way are given up and count for nothing. */
  readonly signal: AbortSignal
  readonly env: Environment
  readonly logger: Logger
}

/** Checks each backend once, takes in the results, and reports changes. Never rejects. */
export async function runHealthRound(options: HealthRoundOptions): Promise<void> {
  const outer = options.signal
  const stop = new AbortController()
  // Every check under way listens: Node would take that many listeners for a leak.
  setMaxListeners(0, stop.signal)
  const onAbort = (): void => {
    stop.abort(outer.reason)
  }
  if (outer.aborted) onAbort()
  outer.addEventListener('abort', onAbort, { once: true })
  await runLanes({ ...options, signal: stop.signal })
  outer.removeEventListener('abort', onAbort)
}

/** Each lane takes the next backend from the one iterator when it is done with its last. */
async function runLanes(options: HealthRoundOptions): Promise<void> {
  const backends = options.currentSet().backends.values()
  const lanes = options.parallel ? MAX_PARALLEL_CHECKS : 1
  const lane = async (): Promise<void> => {
    for (const backend of backends) {
      if (options.signal.aborted) return
      await checkOne(backend, options)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

async function checkOne(backend: Backend, options: HealthRoundOptions): Promise<void> {
  const { check, env, signal } = options
  const timeoutMs = check.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const timeoutError = (): ProxyError =>
    new ProxyError('PGR_HEALTH_CHECK_FAILED', `the check took more than ${timeoutMs} ms`)
  try {
    await withDeadline({ env, timeoutMs, signal, timeoutError }, (checkSignal) =>
      check.check(backend, checkSignal, env),
    )
  } catch (error) {
    // A check that was cut off says nothing about the backend.
    if (!signal.aborted) observe(backend, false, error, options)
    return
  }
  observe(backend, true, undefined, options)
}

function observe(
  backend: Backend,
  healthy: boolean,
  reason: unknown,
  options: HealthRoundOptions,
): void {
  const { check } = options
  const set = options.currentSet()
  const index = set.indexOf(backend)
  if (index < 0) return
  const threshold = healthy ? (check.consecutiveSuccess ?? 1) : (check.consecutiveFailure ?? 1)
  if (set.health.observe(index, healthy, threshold)) report(backend, healthy, reason, options)
}

function report(
  backend: Backend,
  healthy: boolean,
  reason: unknown,
  { check, logger }: HealthRoundOptions,
): void {
  const { address } = backend
  if (healthy) {
    logger.info(`backend ${address} becomes healthy`, { backend: address })
  } else {
    const code = reason instanceof ProxyError ? reason.code : undefined
    const text = reasonText(address, reason)
    logger.warn(`backend ${address} becomes unhealthy: ${text}`, { backend: address, code })
  }
  try {
    check.onHealthChanged?.(backend, healthy)
  } catch (error) {
    logger.error(`onHealthChanged threw: ${describeThrown(error)}`, { backend: address })
  }
}

/** Errors of the network begin with what was tried where; the log line says the address already. */
function reasonText(address: string, reason: unknown): string {
  return describeThrown(reason)
    .replace(`connect ${address}: `, '')
    .replace(`TLS ${address}: `, 'TLS: ')
}

/** Enough to be quick, few enough not to look like an attack or to use up descriptors. */
export const MAX_PARALLEL_CHECKS = 64

const DEFAULT_TIMEOUT_MS = 10_000
