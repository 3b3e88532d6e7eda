import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { logLines, testWorld } from '../../test/helpers/test-world.js'
import { ProxyError } from '../error/index.js'
import type { TestWorld } from '../testing/index.js'
import { Backend } from './backend.js'
import { Backends } from './backends.js'
import type { ServiceDiscovery } from './discovery/service-discovery.js'
import { TcpHealthCheck } from './health-check/tcp-health-check.js'
import { LoadBalancer } from './load-balancer.js'
import type { BackendSelection } from './selection/selection.js'

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProxyError && error.code === code
}

function picks(balancer: LoadBalancer, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => balancer.select('', 256)?.address)
}

/** A balancer that was started. */
interface Started {
  /** How often it said that it is ready, and whether it has returned. */
  readonly state: { ready: number; ended: boolean }
  /** Asks it to stop, and lets time pass until it has. */
  readonly stop: () => Promise<void>
  /** Resolves when it has returned. */
  readonly done: Promise<void>
}

function started(world: TestWorld, balancer: LoadBalancer): Started {
  const controller = new AbortController()
  const { signal } = controller
  const state = { ready: 0, ended: false }
  const ready = (): void => {
    state.ready++
  }
  const done = balancer.start({ signal, logger: world.logger, ready }).then(() => {
    state.ended = true
  })
  const stop = (): Promise<void> => {
    controller.abort()
    return world.run(done)
  }
  return { state, stop, done }
}

describe('LoadBalancer.tryFromIter', () => {
  test('has its backends in use when it resolves', async (t) => {
    const { env } = testWorld(t, { names: { 'api.test': ['10.0.0.9', '::1'] } })
    const mixed = new Set(['api.test:80', new Backend('10.0.0.1:80'), 'unix:/run/a.sock'])
    const balancer = await LoadBalancer.tryFromIter(mixed, { env })
    assert.deepEqual(
      balancer.backends.list.map(({ address }) => address),
      ['10.0.0.1:80', '10.0.0.9:80', '[::1]:80', 'unix:/run/a.sock'],
    )
  })

  test('rejects an empty list, what is no address, and a name that cannot be resolved', async (t) => {
    const { env } = testWorld(t)
    const from = (...list: string[]): Promise<unknown> => LoadBalancer.tryFromIter(list, { env })
    await assert.rejects(from(), hasCode('PGR_OPTION_INVALID'))
    await assert.rejects(from('10.0.0.1'), hasCode('PGR_ADDRESS_INVALID'))
    await assert.rejects(from('missing.test:80'), hasCode('PGR_RESOLVE_FAILED'))
  })

  test('rejects an unknown selection', async (t) => {
    const options = { env: testWorld(t).env, selection: 'fastest' as 'random' }
    const rejected = LoadBalancer.tryFromIter(THREE, options)
    await assert.rejects(rejected, hasCode('PGR_OPTION_INVALID'))
  })
})

describe('LoadBalancer.select', () => {
  test('takes the backends in turn', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    assert.deepEqual(picks(balancer, 4), [...THREE, THREE[0]])
  })

  test('takes the two live ones strictly in turn and never the dead one', async (t) => {
    const world = testWorld(t)
    world.upstream(THREE[0]!)
    world.upstream(THREE[2]!)
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: world.env })
    balancer.setHealthCheck(new TcpHealthCheck())
    await world.run(balancer.runHealthCheck())
    const expected = Array.from({ length: 30 }, (_, pick) => THREE[pick % 2 === 0 ? 0 : 2])
    assert.deepEqual(picks(balancer, 30), expected)
  })

  test('takes nothing when none is ready or nothing may be looked at', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    assert.equal(balancer.select('', 0), undefined)
    for (const backend of balancer.backends.list) balancer.backends.setEnabled(backend, false)
    assert.equal(balancer.select('', 256), undefined)
    balancer.backends.setEnabled(balancer.backends.list[1]!, true)
    assert.equal(balancer.select('', 256)?.address, THREE[1])
  })

  test('goes on where it was when the set changes', async (t) => {
    let found = THREE.slice(0, 2)
    const discovery: ServiceDiscovery = {
      discover: async () => ({ backends: found.map((address) => new Backend(address)) }),
    }
    const balancer = LoadBalancer.fromBackends(new Backends(discovery, { env: testWorld(t).env }))
    assert.deepEqual(picks(balancer, 1), [undefined])
    await balancer.update()
    assert.deepEqual(picks(balancer, 1), [THREE[0]])
    found = THREE
    // Also when it is not the balancer that updates the backends.
    await balancer.backends.update()
    assert.deepEqual(picks(balancer, 3), [THREE[1], THREE[2], THREE[0]])
  })

  test('never returns a backend that is not ready, whatever happens between picks', async (t) => {
    const changes = fc.array(fc.tuple(fc.nat(2), fc.boolean()), { maxLength: 30 })
    const { env } = testWorld(t)
    const selections = fc.constantFrom('round_robin' as const, 'random' as const)
    await fc.assert(
      fc.asyncProperty(changes, selections, async (changes, selection) => {
        const balancer = await LoadBalancer.tryFromIter(THREE, { env, selection })
        const { backends } = balancer
        for (const [index, enabled] of changes) {
          backends.setEnabled(backends.list[index]!, enabled)
          const picked = balancer.select('', 256)
          const anyReady = backends.list.some((backend) => backends.ready(backend))
          assert.equal(picked !== undefined, anyReady)
          if (picked) assert.ok(backends.ready(picked))
        }
      }),
      { numRuns: 50 },
    )
  })

  test('uses a selection that the user wrote', async (t) => {
    const last: BackendSelection = {
      name: 'last',
      build: ({ backends }) => ({ next: () => backends.length - 1, search: () => 0 }),
    }
    const { env } = testWorld(t)
    const balancer = await LoadBalancer.tryFromIter(THREE, { env, selection: last })
    assert.deepEqual(picks(balancer, 2), [THREE[2], THREE[2]])
    assert.equal(balancer.selectWith('', 1, () => true)?.address, THREE[0])
  })
})

describe('LoadBalancer.selectWith', () => {
  test('leaves out those that failed, while there is another', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    const failed = new Set<Backend>()
    const next = (): Backend | undefined =>
      balancer.selectWith('', 256, (backend, healthy) => healthy && !failed.has(backend))
    for (let attempt = 0; attempt < 3; attempt++) failed.add(next()!)
    assert.equal(failed.size, 3)
    assert.equal(next(), undefined)
  })

  test('says which are ready and offers those first', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    balancer.backends.setEnabled(balancer.backends.list[0]!, false)
    const offered: string[] = []
    balancer.selectWith('', 256, (backend, healthy) => {
      offered.push(`${backend.address} ${healthy}`)
      return false
    })
    assert.deepEqual(offered.slice(0, 2).sort(), [`${THREE[1]} true`, `${THREE[2]} true`])
    assert.deepEqual(offered.slice(2), [`${THREE[0]} false`])
  })

  test('lets what accept throws through, and goes on after it', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    const broken = (): never => {
      throw new Error('broken')
    }
    assert.throws(() => balancer.selectWith('', 256, broken), /broken/)
    assert.ok(balancer.select('', 256))
  })
})

describe('LoadBalancer.start', () => {
  test('is ready after the first round, and ends when no frequency is set', async (t) => {
    const world = testWorld(t)
    world.upstream(THREE[0]!).blackhole()
    world.upstream(THREE[2]!)
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: world.env })
    balancer.setHealthCheck(new TcpHealthCheck())
    const { state, done } = started(world, balancer)
    await world.advance(999)
    assert.equal(state.ready, 0)
    await world.advance(1)
    assert.equal(state.ready, 1)
    await done
    assert.deepEqual(picks(balancer, 2), [THREE[2], THREE[2]])
    assert.deepEqual(logLines(world.log), [
      'warn backend 10.0.0.1:80 becomes unhealthy: no connection within 1000 ms',
      'warn backend 10.0.0.2:80 becomes unhealthy: connection refused',
    ])
  })

  test('checks at the frequency, so that a backend leaves and comes back within it', async (t) => {
    const world = testWorld(t)
    const [first] = [world.upstream(THREE[0]!), world.upstream(THREE[1]!)]
    const balancer = await LoadBalancer.tryFromIter(THREE.slice(0, 2), { env: world.env })
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.healthCheckFrequencyMs = 1_000
    const { state, stop } = started(world, balancer)
    await world.advance(500)
    first.down()
    await world.advance(499)
    assert.deepEqual(picks(balancer, 2), THREE.slice(0, 2))
    await world.advance(1)
    assert.deepEqual(picks(balancer, 2), [THREE[1], THREE[1]])
    first.up()
    await world.advance(1_000)
    assert.deepEqual(picks(balancer, 2).sort(), THREE.slice(0, 2))
    assert.deepEqual([first.connections.length, first.open], [2, 0])
    await stop()
    assert.equal(state.ready, 1)
    assert.deepEqual(world.leftovers(), [])
  })

  test('updates at its own frequency, while a check hangs', async (t) => {
    const names = { 'api.test': ['10.0.0.1'] }
    const world = testWorld(t, { names })
    const upstream = world.upstream('10.0.0.1:80')
    const balancer = await LoadBalancer.tryFromIter(['api.test:80'], { env: world.env })
    balancer.setHealthCheck(new TcpHealthCheck({ connectTimeoutMs: 5_000 }))
    balancer.updateFrequencyMs = 1_000
    balancer.healthCheckFrequencyMs = 900
    const { stop } = started(world, balancer)
    await world.idle()
    upstream.blackhole()
    names['api.test'] = ['10.0.0.2']
    await world.advance(1_000)
    assert.deepEqual(picks(balancer, 1), ['10.0.0.2:80'])
    await stop()
    assert.equal(world.clock.nowMs(), 1_000)
  })

  test('logs an update that failed and keeps the backends', async (t) => {
    const names: Record<string, readonly string[]> = { 'api.test': ['10.0.0.1'] }
    const world = testWorld(t, { names })
    const { env } = world
    const balancer = await LoadBalancer.tryFromIter(['api.test:80'], { env, name: 'api' })
    balancer.updateFrequencyMs = 1_000
    delete names['api.test']
    const { state, stop } = started(world, balancer)
    await world.advance(1_000)
    assert.equal(state.ready, 1)
    assert.deepEqual(picks(balancer, 1), ['10.0.0.1:80'])
    const line = 'error api: update failed, the backends stay: resolve api.test: no such name'
    assert.deepEqual(logLines(world.log), [line, line])
    await stop()
  })

  test('ends promptly when it is stopped in the middle of a check, and is not ready then', async (t) => {
    const world = testWorld(t)
    world.upstream(THREE[0]!).blackhole()
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: world.env })
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.healthCheckFrequencyMs = 1_000
    const { state, stop } = started(world, balancer)
    await world.idle()
    assert.ok(world.leftovers().includes('a dial of 10.0.0.1:80'))
    await stop()
    await world.idle()
    assert.deepEqual([state.ready, world.clock.nowMs(), world.leftovers()], [0, 0, []])
    assert.deepEqual(logLines(world.log), [])
    assert.ok(balancer.backends.ready(balancer.backends.list[0]!))
  })

  test('refuses a frequency that is no integer above zero', async (t) => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: testWorld(t).env })
    assert.throws(() => (balancer.healthCheckFrequencyMs = 0), hasCode('PGR_OPTION_INVALID'))
    assert.throws(() => (balancer.updateFrequencyMs = 0.5), hasCode('PGR_OPTION_INVALID'))
    balancer.healthCheckFrequencyMs = undefined
    assert.equal(balancer.healthCheckFrequencyMs, undefined)
  })
})
