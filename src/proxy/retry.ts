/** Whether a failed attempt may be followed by another one. */
import type { ProxyError } from '../error/index.js'

/** What is known of a request when an attempt has failed. */
export interface RetryFacts {
  /** The method. */
  readonly method: string
  /** Whether the connection of the attempt came from the pool. */
  readonly reused: boolean
  /** Whether bytes of the request may have reached the upstream. */
  readonly requestStarted: boolean
}

/**
 * Turns `if-reused` into yes or no: only where the peer may have closed the connection before it saw
 * the request, and only where doing it twice is doing it once (RFC 9110 §9.2.2).
 */
export function decideRetry(error: ProxyError, facts: RetryFacts): boolean {
  if (error.retry !== 'if-reused') return error.retry === 'yes'
  return facts.reused && (!facts.requestStarted || IDEMPOTENT.has(facts.method))
}

const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
])
