/** Worlds and proxies in memory for tests, which check by themselves that nothing is left at the end. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { ProxyHttp } from '../../src/proxy/index.js'
import { TestWorld } from '../../src/testing/index.js'
import type {
  LogRecord,
  ScriptedUpstream,
  TestProxy,
  TestProxyOptions,
  TestWorldOptions,
} from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import type { PeerOptions } from '../../src/transport/index.js'

/**
 * A world that is closed after the test; then nothing may be left over.
 * @param atEnd called before, to close what the test itself has opened in the world's `env`.
 */
export function testWorld(
  t: TestContext,
  options: TestWorldOptions = {},
  atEnd: () => void = () => undefined,
): TestWorld {
  const world = new TestWorld(options)
  t.after(() => {
    atEnd()
    return end(world)
  })
  return world
}

/** What differs from a proxy without hooks in front of an upstream that says nothing by itself. */
export interface ProxySetup extends TestProxyOptions {
  /**
   * Hooks, or a function that makes them, for those that use the world. Without an `upstreamPeer`
   * among them all requests go to the one upstream.
   */
  readonly hooks?: Partial<ProxyHttp<unknown>> | ((world: TestWorld) => Partial<ProxyHttp<unknown>>)
  /** How the upstream is reached, when the hooks have no `upstreamPeer`. */
  readonly peer?: PeerOptions
  /** Whether requests may go without their `logging` hook. Default: false. */
  readonly skipsLogging?: boolean
  /** What the world is made from. */
  readonly world?: TestWorldOptions
}

/** A proxy in a world of its own, and the upstream behind it. */
export interface ProxyInWorld {
  readonly world: TestWorld
  readonly proxy: TestProxy
  /** At {@link UPSTREAM}; answers what a test tells it to, and is silent until then. */
  readonly upstream: ScriptedUpstream
}

/** Where the upstream of {@link testProxy} listens. */
export const UPSTREAM = '10.0.0.1:80'
/** Where nobody listens. */
export const NOWHERE = '10.0.0.2:80'

/**
 * Starts a proxy in a world of its own. After the test it must notice that its clients have left,
 * must have told `logging` of each request once, and must leave nothing over.
 */
export async function testProxy(t: TestContext, setup: ProxySetup = {}): Promise<ProxyInWorld> {
  const { hooks = {}, peer, skipsLogging = false, world: worldOptions, ...options } = setup
  const world = new TestWorld(worldOptions)
  let proxy: TestProxy | null = null
  t.after(async () => {
    try {
      if (proxy !== null) await clientsLeave(world, proxy)
    } finally {
      await end(world)
    }
    if (!skipsLogging) assertLogged(world, proxy)
  })
  const upstream = world.upstream(UPSTREAM, { answer: null })
  const upstreamPeer = (): HttpPeer => new HttpPeer(upstream, peer)
  const own = typeof hooks === 'function' ? hooks(world) : hooks
  proxy = await world.proxy({ newCtx: () => ({}), upstreamPeer, ...own }, options)
  return { world, proxy, upstream }
}

/** Log lines as `LEVEL MESSAGE`. */
export function logLines(records: readonly LogRecord[]): string[] {
  return records.map(({ level, message }) => `${level} ${message}`)
}

/** Closes every client, and waits until the proxy has let go of them all. */
async function clientsLeave(world: TestWorld, proxy: TestProxy): Promise<void> {
  for (const connection of world.network.open) {
    if (connection.digest.peerAddress === proxy.address) connection.destroy()
  }
  const areGone = (): boolean => world.counters.get('downstreamConnectionsOpen') === 0
  await world.until(areGone, 'the proxy to notice that its clients have left')
}

async function end(world: TestWorld): Promise<void> {
  await world.close()
  assert.deepEqual(world.leftovers(), [], 'nothing is left over')
  assert.deepEqual(world.uncaught, [], 'nothing escapes from a handler')
}

function assertLogged(world: TestWorld, proxy: TestProxy | null): void {
  const loggings = proxy?.sessions.map((session) => session.loggings) ?? []
  const once = new Array<number>(world.counters.get('requests')).fill(1)
  assert.deepEqual(loggings, once, 'each request is logged once')
}
