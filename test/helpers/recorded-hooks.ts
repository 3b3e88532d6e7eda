/** A `ProxyHttp` with every hook, that writes down the order in which they are called. */
import type { ProxyError } from '../../src/error/index.js'
import type { ProxyHttp } from '../../src/proxy/index.js'
import type { HttpPeer } from '../../src/transport/index.js'
import { settle } from './settle.js'

/** Names of all hooks that are implemented, in the order of the interface. */
export const HOOK_NAMES = [
  'newCtx',
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
  'errorWhileProxy',
  'failToProxy',
  'suppressErrorLog',
  'requestSummary',
  'logging',
] as const

export type HookName = (typeof HOOK_NAMES)[number]

/** Hooks that may return a promise. */
export const ASYNC_HOOKS: ReadonlySet<HookName> = new Set<HookName>([
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
  'failToProxy',
  'logging',
])

/** What hooks do besides being written down; called with the arguments of the hook. */
export type HookActions = Partial<Record<HookName, (...args: never[]) => unknown>>

/** How promises are given: none, already settled in effect, or after a turn of the event loop. */
export type Timing = 'sync' | 'microtask' | 'turn'

/**
 * All hooks. `calls` gets their names, body filters with what they saw.
 * @param peer what `upstreamPeer` chooses when no action does.
 */
export function recordedHooks(
  calls: string[],
  peer: () => HttpPeer | undefined,
  actions: HookActions = {},
  timing: (name: HookName) => Timing = () => 'sync',
): ProxyHttp<unknown> {
  const hooks: Record<string, (...args: unknown[]) => unknown> = {}
  for (const name of HOOK_NAMES) {
    const act = actions[name] as ((...args: unknown[]) => unknown) | undefined
    const otherwise = name === 'upstreamPeer' ? peer : RESULTS[name]
    hooks[name] = (...args) => {
      calls.push(describe(name, args))
      const result = act ? () => act(...args) : () => otherwise?.()
      const when = ASYNC_HOOKS.has(name) ? timing(name) : 'sync'
      if (when === 'sync') return result()
      return when === 'microtask' ? Promise.resolve().then(result) : settle().then(result)
    }
  }
  return hooks as unknown as ProxyHttp<unknown>
}

function describe(name: HookName, args: readonly unknown[]): string {
  if (name === 'requestBodyFilter' || name === 'responseBodyFilter') {
    const body = args[1] as Buffer | undefined
    return `${name} ${body === undefined ? 'end' : body.toString('latin1')}`
  }
  if (name === 'upstreamResponseFilter' || name === 'responseFilter') {
    return `${name} ${(args[1] as { readonly status: number }).status}`
  }
  if (name === 'connectedToUpstream') return `${name} ${args[1] === true ? 'reused' : 'new'}`
  if (name === 'logging') return `logging ${(args[1] as ProxyError | undefined)?.code ?? 'ok'}`
  return name
}

const RESULTS: Partial<Record<HookName, () => unknown>> = {
  newCtx: () => ({}),
  suppressErrorLog: () => false,
  requestSummary: () => 'a request',
}
