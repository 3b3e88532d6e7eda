import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { logLines, testWorld } from '../../test/helpers/test-world.js'
import { ProxyError } from '../error/index.js'
import { Backend } from './backend.js'
import { Backends } from './backends.js'
import type { DiscoveryResult, ServiceDiscovery } from './discovery/service-discovery.js'
import type { HealthCheck } from './health-check/health-check.js'

const A = new Backend('10.0.0.1:80')
const B = new Backend('10.0.0.2:80')
const C = new Backend('10.0.0.3:80')

/** Finds whatever the test says at that moment. */
class ScriptedDiscovery implements ServiceDiscovery {
  answer: () => Promise<DiscoveryResult>

  constructor(...backends: Backend[]) {
    this.answer = () => Promise.resolve({ backends })
  }

  found(...backends: Backend[]): void {
    this.answer = () => Promise.resolve({ backends })
  }

  discover(): Promise<DiscoveryResult> {
    return this.answer()
  }
}

/** Fails for the addresses in `down`, hangs for those in `stuck`; notes what it is asked. */
class ScriptedCheck implements HealthCheck {
  readonly down = new Set<Backend>()
  readonly stuck = new Set<Backend>()
  readonly checked: Backend[] = []
  readonly changes: string[] = []
  consecutiveSuccess = 1
  consecutiveFailure = 1

  check(backend: Backend): Promise<void> {
    this.checked.push(backend)
    if (this.stuck.has(backend)) return new Promise(() => undefined)
    return this.down.has(backend) ? Promise.reject(new Error('no answer')) : Promise.resolve()
  }

  onHealthChanged(backend: Backend, healthy: boolean): void {
    this.changes.push(`${backend.address} ${healthy ? 'up' : 'down'}`)
  }
}

function setUp(t: TestContext, ...initial: Backend[]) {
  const world = testWorld(t)
  const { env, logger } = world
  const discovery = new ScriptedDiscovery(...initial)
  const backends = new Backends(discovery, { env, logger })
  const check = new ScriptedCheck()
  backends.setHealthCheck(check)
  const readiness = (): string =>
    backends.list.map((backend) => (backends.ready(backend) ? '+' : '-')).join('')
  const lines = (): string[] => logLines(world.log)
  return { world, discovery, lines, backends, check, readiness }
}

describe('Backends.update', () => {
  test('finds nothing before the first update', async (t) => {
    const { backends } = setUp(t, A)
    assert.deepEqual(backends.list, [])
    assert.equal(backends.ready(A), false)
    assert.equal(await backends.update(), true)
    assert.deepEqual(backends.list, [A])
    assert.equal(backends.ready(A), true)
  })

  test('tells of a change with the new set, before it is in use', async (t) => {
    const { backends, discovery } = setUp(t, A)
    const told: string[] = []
    const update = (): Promise<boolean> =>
      backends.update((next) => told.push(`${backends.list.length} ${next.backends.length}`))
    assert.equal(await update(), true)
    assert.equal(await update(), false)
    discovery.found(A, B)
    assert.equal(await update(), true)
    assert.deepEqual(told, ['0 1', '1 2'])
  })

  test('keeps the health of those that stay, and takes a new weight for a new backend', async (t) => {
    const { backends, discovery, check, readiness } = setUp(t, A, B)
    await backends.update()
    check.down.add(A).add(B)
    await backends.runHealthCheck()
    assert.equal(readiness(), '--')
    discovery.found(A, new Backend(B.address, { weight: 2 }), C)
    await backends.update()
    assert.equal(readiness(), '-++')
  })

  test('keeps everything when the discovery fails or what is told of the change throws', async (t) => {
    const { backends, discovery } = setUp(t, A)
    await backends.update()
    discovery.answer = () => Promise.reject(new Error('no answer'))
    await assert.rejects(backends.update(), /no answer/)
    discovery.found(B)
    const refuse = (): void => {
      throw new Error('not this one')
    }
    await assert.rejects(backends.update(refuse), /not this one/)
    assert.deepEqual(backends.list, [A])
  })

  test('gives a discovery that hangs up after ten seconds', async (t) => {
    const { backends, discovery, world } = setUp(t, A)
    discovery.answer = () => new Promise(() => undefined)
    await assert.rejects(
      world.run(backends.update()),
      (error) => error instanceof ProxyError && error.code === 'PGR_DISCOVERY_FAILED',
    )
  })

  test('drops an answer that comes after that of a later update', async (t) => {
    const { world, backends, discovery } = setUp(t)
    let answerLate: (result: DiscoveryResult) => void = () => undefined
    discovery.answer = () => new Promise((resolve) => (answerLate = resolve))
    const late = backends.update()
    await world.idle()
    discovery.found(B)
    await backends.update()
    answerLate({ backends: [A] })
    assert.equal(await late, false)
    assert.deepEqual(backends.list, [B])
  })

  test('applies what the discovery says of enablement, changed set or not', async (t) => {
    const { backends, discovery, readiness } = setUp(t)
    const found = (...enablement: [Backend, boolean][]): void => {
      const byKey = new Map(enablement.map(([backend, enabled]) => [backend.key, enabled]))
      discovery.answer = () => Promise.resolve({ backends: [A, B], enablement: byKey })
    }
    found([A, false], [C, false])
    await backends.update()
    assert.equal(readiness(), '-+')
    found([B, false])
    await backends.update()
    assert.equal(readiness(), '--')
    found([A, true])
    await backends.update()
    assert.equal(readiness(), '+-')
  })
})

describe('Backends.setEnabled', () => {
  test('takes a backend out and back in, and knows only those in the set', async (t) => {
    const { backends } = setUp(t, A)
    await backends.update()
    assert.equal(backends.setEnabled(new Backend(A.address), false), true)
    assert.equal(backends.ready(A), false)
    assert.equal(backends.setEnabled(A, true), true)
    assert.equal(backends.ready(A), true)
    assert.equal(backends.setEnabled(B, false), false)
  })

  test('lasts over updates', async (t) => {
    const { backends, discovery, readiness } = setUp(t, A)
    await backends.update()
    backends.setEnabled(A, false)
    discovery.found(A, B)
    await backends.update()
    assert.equal(readiness(), '-+')
  })
})

describe('Backends.runHealthCheck', () => {
  test('does nothing without a health check', async (t) => {
    const backends = new Backends(new ScriptedDiscovery(A), { env: testWorld(t).env })
    await backends.update()
    await backends.runHealthCheck()
    assert.equal(backends.ready(A), true)
  })

  test('reports each change once, to the log and to the check', async (t) => {
    const { backends, check, lines, readiness } = setUp(t, A, B)
    await backends.update()
    check.down.add(B)
    await backends.runHealthCheck()
    await backends.runHealthCheck()
    assert.equal(readiness(), '+-')
    check.down.delete(B)
    await backends.runHealthCheck()
    assert.equal(readiness(), '++')
    assert.deepEqual(check.changes, ['10.0.0.2:80 down', '10.0.0.2:80 up'])
    assert.deepEqual(lines(), [
      'warn backend 10.0.0.2:80 becomes unhealthy: no answer',
      'info backend 10.0.0.2:80 becomes healthy',
    ])
  })

  test('waits for as many results in a row as the check asks for', async (t) => {
    const { backends, check, readiness } = setUp(t, A)
    await backends.update()
    check.consecutiveFailure = 2
    check.consecutiveSuccess = 3
    const seen: string[] = []
    for (const up of [false, true, false, false, true, true, true]) {
      if (up) check.down.delete(A)
      else check.down.add(A)
      await backends.runHealthCheck()
      seen.push(readiness())
    }
    assert.equal(seen.join(''), '+++---+')
  })

  test('checks one after the other, or all at once when that is asked for', async (t) => {
    const { backends, check, world } = setUp(t, A, B, C)
    await backends.update()
    check.stuck.add(A)
    const sequential = backends.runHealthCheck()
    await world.idle()
    assert.deepEqual(check.checked, [A])
    await world.advance(10_000)
    await sequential
    check.checked.length = 0
    const parallel = backends.runHealthCheck(true)
    await world.idle()
    assert.deepEqual(check.checked, [A, B, C])
    await world.advance(10_000)
    await parallel
  })

  test('checks at most 64 at once', async (t) => {
    const many = Array.from({ length: 100 }, (_, n) => new Backend(`10.0.1.${n}:80`))
    const { backends, check, world, readiness } = setUp(t, ...many)
    await backends.update()
    for (const backend of many) check.stuck.add(backend)
    const round = backends.runHealthCheck(true)
    await world.idle()
    assert.equal(check.checked.length, 64)
    await world.advance(10_000)
    await world.idle()
    assert.equal(check.checked.length, 100)
    await world.advance(10_000)
    await round
    assert.equal(readiness(), '-'.repeat(100))
  })

  test('takes a check that hangs for a failure', async (t) => {
    const { backends, check, world, lines, readiness } = setUp(t, A)
    await backends.update()
    check.stuck.add(A)
    const round = backends.runHealthCheck()
    await world.idle()
    await world.advance(10_000)
    await round
    assert.equal(readiness(), '-')
    assert.match(lines().join(), /took more than 10000 ms/)
  })

  test('counts nothing for a check that was cut off', async (t) => {
    const { world, backends, check, readiness } = setUp(t, A, B)
    await backends.update()
    check.stuck.add(A)
    const controller = new AbortController()
    const round = backends.runHealthCheck(false, { signal: controller.signal })
    await world.idle()
    controller.abort()
    await round
    assert.equal(readiness(), '++')
    assert.deepEqual(check.checked, [A])
  })

  test('joins the round that is running', async (t) => {
    const { backends, check } = setUp(t, A)
    await backends.update()
    await Promise.all([backends.runHealthCheck(), backends.runHealthCheck()])
    assert.equal(check.checked.length, 1)
    await backends.runHealthCheck()
    assert.equal(check.checked.length, 2)
  })

  test('applies results to the set of that moment', async (t) => {
    const { backends, check, discovery, world, readiness } = setUp(t, A, B)
    await backends.update()
    check.stuck.add(A).add(B)
    const round = backends.runHealthCheck(true)
    await world.idle()
    discovery.found(B, C)
    await backends.update()
    await world.advance(10_000)
    await round
    assert.equal(readiness(), '-+')
  })

  test('survives a callback that throws and a check that does not even return a promise', async (t) => {
    const { backends, check, lines, readiness } = setUp(t, A)
    await backends.update()
    check.check = () => {
      throw new Error('broken check')
    }
    check.onHealthChanged = () => {
      throw new Error('broken callback')
    }
    await backends.runHealthCheck()
    assert.equal(readiness(), '-')
    assert.match(lines().join('\n'), /broken check\nerror onHealthChanged threw: broken callback/)
  })
})
