/** A `ProxyHttp` with every hook, which return their results at once, as promises, or later. */
import type { ProxyHttp } from '../../src/proxy/index.js'
import type { TestWorld } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { UPSTREAM } from './test-world.js'

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
  'responseTrailerFilter',
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
  'responseTrailerFilter',
  'failToProxy',
  'logging',
])

/** What hooks do; called with the arguments of the hook. */
export type HookActions = Partial<Record<HookName, (...args: never[]) => unknown>>

/** When hooks that may return a promise give their result: at once, as a promise, or 1 ms later. */
export type Timing = 'sync' | 'microtask' | 'later'

/** All hooks. Those without an action do nothing, and choose the upstream of `testProxy`. */
export function allHooks(
  world: TestWorld,
  actions: HookActions = {},
  timing: (name: HookName) => Timing = () => 'sync',
): ProxyHttp<unknown> {
  const hooks: Record<string, (...args: unknown[]) => unknown> = {}
  for (const name of HOOK_NAMES) {
    const act = (actions[name] as ((...args: unknown[]) => unknown) | undefined) ?? RESULTS[name]
    hooks[name] = (...args) => {
      const result = (): unknown => act?.(...args)
      const when = ASYNC_HOOKS.has(name) ? timing(name) : 'sync'
      if (when === 'sync') return result()
      return (when === 'microtask' ? Promise.resolve() : world.sleep(1)).then(result)
    }
  }
  return hooks as unknown as ProxyHttp<unknown>
}

const RESULTS: Partial<Record<HookName, () => unknown>> = {
  newCtx: () => ({}),
  upstreamPeer: () => new HttpPeer(UPSTREAM),
  suppressErrorLog: () => false,
  requestSummary: () => 'a request',
}
