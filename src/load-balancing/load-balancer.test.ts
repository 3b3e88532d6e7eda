import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RecordingLogger } from '../../test/helpers/recording-logger.js'
import { scriptedEnvironment } from '../../test/helpers/scripted-network.js'
import type { ScriptedEnvironment } from '../../test/helpers/scripted-network.js'
import { settle } from '../../test/helpers/settle.js'
import { ProxyError } from '../error/index.js'
import { Backend } from './backend.js'
import { Backends } from './backends.js'
import type { ServiceDiscovery } from './discovery/service-discovery.js'
import { TcpHealthCheck } from './health-check/tcp-health-check.js'
import { LoadBalancer } from './load-balancer.js'
import type { LoadBalancerContext } from './load-balancer.js'
import type { BackendSelection } from './selection/selection.js'

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProxyError && error.code === code
}

function picks(balancer: LoadBalancer, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => balancer.select('', 256)?.address)
}

/** A balancer that was started; `ready` counts the calls, `ended` turns true when it returns. */
function started(balancer: LoadBalancer) {
  const controller = new AbortController()
  const logger = new RecordingLogger()
  const state = { ready: 0, ended: false, logger, stop: () => controller.abort() }
  const context: LoadBalancerContext = {
    signal: controller.signal,
    logger,
    ready: () => {
      state.ready++
    },
  }
  const done = balancer.start(context).then(() => {
    state.ended = true
  })
  return { ...state, state, done }
}

/** Moves time on in steps that let rounds begin and end. */
async function passTime(env: ScriptedEnvironment, ms: number): Promise<void> {
  await settle()
  for (let passed = 0; passed < ms; passed += 50) {
    env.clock.advance(50)
    await settle()
  }
}

describe('LoadBalancer.tryFromIter', () => {
  test('has its backends in use when it resolves', async () => {
    const env = scriptedEnvironment()
    env.network.names.set('api.test', ['10.0.0.9', '::1'])
    const mixed = new Set(['api.test:80', new Backend('10.0.0.1:80'), 'unix:/run/a.sock'])
    const balancer = await LoadBalancer.tryFromIter(mixed, { env })
    assert.deepEqual(
      balancer.backends.list.map(({ address }) => address),
      ['10.0.0.1:80', '10.0.0.9:80', '[::1]:80', 'unix:/run/a.sock'],
    )
  })

  test('rejects an empty list, what is no address, and a name that cannot be resolved', async () => {
    const env = scriptedEnvironment()
    const from = (...list: string[]): Promise<unknown> => LoadBalancer.tryFromIter(list, { env })
    await assert.rejects(from(), hasCode('PGR_OPTION_INVALID'))
    await assert.rejects(from('10.0.0.1'), hasCode('PGR_ADDRESS_INVALID'))
    await assert.rejects(from('missing.test:80'), hasCode('PGR_RESOLVE_FAILED'))
  })

  test('rejects an unknown selection', async () => {
    const options = { env: scriptedEnvironment(), selection: 'fastest' as 'random' }
    const rejected = LoadBalancer.tryFromIter(THREE, options)
    await assert.rejects(rejected, hasCode('PGR_OPTION_INVALID'))
  })
})

describe('LoadBalancer.select', () => {
  test('takes the backends in turn', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    assert.deepEqual(picks(balancer, 4), [...THREE, THREE[0]])
  })

  test('takes the two live ones strictly in turn and never the dead one', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(THREE[1]!, 'refuse')
    const balancer = await LoadBalancer.tryFromIter(THREE, { env })
    balancer.setHealthCheck(new TcpHealthCheck())
    await balancer.runHealthCheck()
    const expected = Array.from({ length: 30 }, (_, pick) => THREE[pick % 2 === 0 ? 0 : 2])
    assert.deepEqual(picks(balancer, 30), expected)
  })

  test('takes nothing when none is ready or nothing may be looked at', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    assert.equal(balancer.select('', 0), undefined)
    for (const backend of balancer.backends.list) balancer.backends.setEnabled(backend, false)
    assert.equal(balancer.select('', 256), undefined)
    balancer.backends.setEnabled(balancer.backends.list[1]!, true)
    assert.equal(balancer.select('', 256)?.address, THREE[1])
  })

  test('goes on where it was when the set changes', async () => {
    let found = THREE.slice(0, 2)
    const discovery: ServiceDiscovery = {
      discover: async () => ({ backends: found.map((address) => new Backend(address)) }),
    }
    const balancer = LoadBalancer.fromBackends(
      new Backends(discovery, { env: scriptedEnvironment() }),
    )
    assert.deepEqual(picks(balancer, 1), [undefined])
    await balancer.update()
    assert.deepEqual(picks(balancer, 1), [THREE[0]])
    found = THREE
    // Also when it is not the balancer that updates the backends.
    await balancer.backends.update()
    assert.deepEqual(picks(balancer, 3), [THREE[1], THREE[2], THREE[0]])
  })

  test('never returns a backend that is not ready, whatever happens between picks', async () => {
    const changes = fc.array(fc.tuple(fc.nat(2), fc.boolean()), { maxLength: 30 })
    const selections = fc.constantFrom('round_robin' as const, 'random' as const)
    await fc.assert(
      fc.asyncProperty(changes, selections, async (changes, selection) => {
        const env = scriptedEnvironment()
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

  test('uses a selection that the user wrote', async () => {
    const last: BackendSelection = {
      name: 'last',
      build: ({ backends }) => ({ next: () => backends.length - 1, search: () => 0 }),
    }
    const env = scriptedEnvironment()
    const balancer = await LoadBalancer.tryFromIter(THREE, { env, selection: last })
    assert.deepEqual(picks(balancer, 2), [THREE[2], THREE[2]])
    assert.equal(balancer.selectWith('', 1, () => true)?.address, THREE[0])
  })
})

describe('LoadBalancer.selectWith', () => {
  test('leaves out those that failed, while there is another', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    const failed = new Set<Backend>()
    const next = (): Backend | undefined =>
      balancer.selectWith('', 256, (backend, healthy) => healthy && !failed.has(backend))
    for (let attempt = 0; attempt < 3; attempt++) failed.add(next()!)
    assert.equal(failed.size, 3)
    assert.equal(next(), undefined)
  })

  test('says which are ready and offers those first', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    balancer.backends.setEnabled(balancer.backends.list[0]!, false)
    const offered: string[] = []
    balancer.selectWith('', 256, (backend, healthy) => {
      offered.push(`${backend.address} ${healthy}`)
      return false
    })
    assert.deepEqual(offered.slice(0, 2).sort(), [`${THREE[1]} true`, `${THREE[2]} true`])
    assert.deepEqual(offered.slice(2), [`${THREE[0]} false`])
  })

  test('lets what accept throws through, and goes on after it', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    const broken = (): never => {
      throw new Error('broken')
    }
    assert.throws(() => balancer.selectWith('', 256, broken), /broken/)
    assert.ok(balancer.select('', 256))
  })
})

describe('LoadBalancer.start', () => {
  test('is ready after the first round, and ends when no frequency is set', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(THREE[0]!, 'hang')
    env.network.dialAnswers.set(THREE[1]!, 'refuse')
    const balancer = await LoadBalancer.tryFromIter(THREE, { env })
    balancer.setHealthCheck(new TcpHealthCheck())
    const { state, done } = started(balancer)
    await passTime(env, 900)
    assert.equal(state.ready, 0)
    await passTime(env, 200)
    assert.equal(state.ready, 1)
    await done
    assert.deepEqual(picks(balancer, 2), [THREE[2], THREE[2]])
    assert.deepEqual(state.logger.lines, [
      'warn backend 10.0.0.1:80 becomes unhealthy: no connection within 1000 ms',
      'warn backend 10.0.0.2:80 becomes unhealthy: connection refused',
    ])
  })

  test('checks at the frequency, so that a backend leaves and comes back within it', async () => {
    const env = scriptedEnvironment()
    const balancer = await LoadBalancer.tryFromIter(THREE.slice(0, 2), { env })
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.healthCheckFrequencyMs = 1_000
    const { state, stop, done } = started(balancer)
    await passTime(env, 500)
    env.network.dialAnswers.set(THREE[0]!, 'refuse')
    await passTime(env, 1_000)
    assert.deepEqual(picks(balancer, 2), [THREE[1], THREE[1]])
    env.network.dialAnswers.delete(THREE[0]!)
    await passTime(env, 1_000)
    assert.deepEqual(picks(balancer, 2).sort(), THREE.slice(0, 2))
    stop()
    await done
    assert.equal(state.ready, 1)
    // The deadline wheel wakes once more for the last check; after that nothing is left.
    env.clock.advance(1_100)
    assert.equal(env.clock.pending, 0)
  })

  test('updates at its own frequency, while a check hangs', async () => {
    const env = scriptedEnvironment()
    env.network.names.set('api.test', ['10.0.0.1'])
    const balancer = await LoadBalancer.tryFromIter(['api.test:80'], { env })
    balancer.setHealthCheck(new TcpHealthCheck({ connectTimeoutMs: 5_000 }))
    balancer.updateFrequencyMs = 1_000
    balancer.healthCheckFrequencyMs = 1_000
    const { stop, done } = started(balancer)
    await passTime(env, 50)
    env.network.dialAnswers.set('10.0.0.1:80', 'hang')
    env.network.names.set('api.test', ['10.0.0.2'])
    await passTime(env, 1_500)
    assert.deepEqual(picks(balancer, 1), ['10.0.0.2:80'])
    stop()
    await done
  })

  test('logs an update that failed and keeps the backends', async () => {
    const env = scriptedEnvironment()
    env.network.names.set('api.test', ['10.0.0.1'])
    const balancer = await LoadBalancer.tryFromIter(['api.test:80'], { env, name: 'api' })
    balancer.updateFrequencyMs = 1_000
    env.network.names.delete('api.test')
    const { state, stop, done } = started(balancer)
    await passTime(env, 1_000)
    assert.equal(state.ready, 1)
    assert.deepEqual(picks(balancer, 1), ['10.0.0.1:80'])
    const line = 'error api: update failed, the backends stay: resolve api.test: no such name'
    assert.deepEqual(state.logger.lines, [line, line])
    stop()
    await done
  })

  test('ends promptly when it is stopped in the middle of a check, and is not ready then', async () => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set(THREE[0]!, 'hang')
    const balancer = await LoadBalancer.tryFromIter(THREE, { env })
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.healthCheckFrequencyMs = 1_000
    const { state, stop, done } = started(balancer)
    await settle()
    assert.equal(env.network.hanging, 1)
    stop()
    await done
    await settle()
    assert.deepEqual([state.ready, env.network.hanging, env.network.open.size], [0, 0, 0])
    assert.deepEqual(state.logger.lines, [])
    assert.ok(balancer.backends.ready(balancer.backends.list[0]!))
  })

  test('refuses a frequency that is no integer above zero', async () => {
    const balancer = await LoadBalancer.tryFromIter(THREE, { env: scriptedEnvironment() })
    assert.throws(() => (balancer.healthCheckFrequencyMs = 0), hasCode('PGR_OPTION_INVALID'))
    assert.throws(() => (balancer.updateFrequencyMs = 0.5), hasCode('PGR_OPTION_INVALID'))
    balancer.healthCheckFrequencyMs = undefined
    assert.equal(balancer.healthCheckFrequencyMs, undefined)
  })
})
