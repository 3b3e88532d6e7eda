/** How the proxy of a simulated world is set up: limits, time-outs, hooks of all kinds. */
import type { SeededRandom } from '../../src/testing/index.js'

/** How a hook answers: not at all, at once, by a promise, or after virtual time. */
export type HookKind = 'absent' | 'sync' | 'promise' | 'sleep' | 'mixed'

/** What a body filter does: passes pieces on, copies them, changes every byte, or gathers all. */
export type BodyFilter = 'absent' | 'same' | 'copy' | 'flip' | 'gather'

/** The hooks that may be there or not. */
export const HOOK_NAMES = [
  'earlyRequestFilter',
  'requestFilter',
  'upstreamPeer',
  'failToConnect',
  'connectedToUpstream',
  'upstreamRequestFilter',
  'requestBodyFilter',
  'upstreamResponseFilter',
  'responseFilter',
  'responseBodyFilter',
  'responseTrailerFilter',
  'failToProxy',
  'logging',
] as const

/** One of them. */
export type HookName = (typeof HOOK_NAMES)[number]

/** The drawn set-up. */
export interface ProxyPlan {
  readonly hooks: Readonly<Record<HookName, HookKind>>
  readonly requestBody: BodyFilter
  readonly responseBody: BodyFilter
  /** Whether a module passes everything on, its bodies as copies. */
  readonly hasModule: boolean
  /** Share of requests for which some hook throws. */
  readonly throwShare: number
  /** Share of requests that `requestFilter` answers itself. */
  readonly ownAnswerShare: number
  /** Share of responses that filters make chunked. */
  readonly rechunkShare: number
  readonly selection: 'round_robin' | 'random'
  readonly avoidsFailed: boolean
  readonly healthCheckEveryMs: number
  readonly retriesConnect: boolean
  /** Whether idempotent requests are retried after any failure of an exchange. */
  readonly retriesExchange: boolean
  readonly maxRetries: number
  readonly poolSize: number
  readonly maxRetryBytes: number
  readonly abortOnClose: boolean
  readonly maxConnections: number
  readonly graceSeconds: number
  readonly timeouts: {
    readonly headerMs: number
    readonly bodyMs: number
    readonly writeMs: number
  }
  readonly peer: {
    readonly connectTimeoutMs: number
    readonly totalConnectTimeoutMs: number
    readonly readTimeoutMs: number
    readonly writeTimeoutMs: number
    readonly idleTimeoutMs: number
  }
}

/** Draws a set-up. @param isCalm nothing may fail: no throws, limits or short time-outs. */
export function drawProxyPlan(random: SeededRandom, isCalm: boolean): ProxyPlan {
  const hookShare = random.pick([0, 0.3, 0.8])
  const kinds = HOOK_NAMES.map((name): [HookName, HookKind] => [name, drawKind(random, hookShare)])
  const seconds = (from: number, to: number): number =>
    isCalm ? 40_000 : random.int(from * 10, to * 10) * 100
  return {
    hooks: Object.fromEntries(kinds) as Record<HookName, HookKind>,
    requestBody: drawBodyFilter(random),
    responseBody: drawBodyFilter(random),
    hasModule: random.chance(0.3),
    throwShare: isCalm || random.chance(0.6) ? 0 : 0.08,
    ownAnswerShare: random.chance(0.7) ? 0 : 0.1,
    rechunkShare: random.chance(0.5) ? 0 : 0.3,
    selection: random.pick(['round_robin', 'random'] as const),
    avoidsFailed: random.chance(0.5),
    healthCheckEveryMs: random.pick([1_000, 5_000, 20_000]),
    retriesConnect: random.chance(0.6),
    retriesExchange: random.chance(0.3),
    maxRetries: random.pick([1, 2, 2, 3, 16]),
    poolSize: random.pick([0, 1, 128, 128, 128, 128]),
    maxRetryBytes: random.pick([0, 1, 1_000, 65_536]),
    abortOnClose: random.chance(0.8),
    maxConnections: isCalm || random.chance(0.85) ? 0 : random.int(1, 5),
    graceSeconds: random.int(1, 20),
    timeouts: { headerMs: seconds(2, 20), bodyMs: seconds(2, 10), writeMs: seconds(2, 10) },
    peer: {
      connectTimeoutMs: isCalm ? 5_000 : random.int(200, 2_000),
      totalConnectTimeoutMs: isCalm ? 9_000 : random.int(500, 3_000),
      readTimeoutMs: seconds(1, 10),
      writeTimeoutMs: seconds(2, 10),
      idleTimeoutMs: random.chance(0.1) ? 0 : random.int(500, 30_000),
    },
  }
}

function drawKind(random: SeededRandom, share: number): HookKind {
  if (!random.chance(share)) return 'absent'
  return random.pick(['sync', 'promise', 'sleep', 'mixed'] as const)
}

function drawBodyFilter(random: SeededRandom): BodyFilter {
  if (random.chance(0.6)) return 'absent'
  return random.pick(['same', 'copy', 'flip', 'gather'] as const)
}
