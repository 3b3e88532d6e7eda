import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { makeProgram, runThread } from '../../test/helpers/load-balancing-worker.js'
import type { Program } from '../../test/helpers/load-balancing-worker.js'
import { SharedRegistry } from '../shared-memory/internal.js'
import { REAL_ENVIRONMENT } from '../transport/index.js'
import { Backend } from './backend.js'

const WEIGHTED = [1, 2, 4].map((weight, n) => new Backend(`10.0.0.${n + 1}:80`, { weight }))

interface ThreadedProgram extends Program {
  /** Runs a task in so many workers, which begin together. */
  readonly run: (
    workers: number,
    name: Parameters<typeof runThread>[2]['name'],
    times?: number,
  ) => Promise<unknown[]>
  /** Resolves when so many workers have begun. */
  readonly begun: (workers: number) => Promise<void>
}

async function setUp(t: TestContext, ...backends: Backend[]): Promise<ThreadedProgram> {
  const env = { ...REAL_ENVIRONMENT, sharedMemory: new SharedRegistry() }
  const program = makeProgram(env)
  program.discovery.result = { backends }
  await program.balancer.update()
  return {
    ...program,
    run: (workers, name, times = 0) => {
      const task = { workers, name, times, together: workers }
      const indexes = Array.from({ length: workers }, (_, place) => place + 1)
      return Promise.all(indexes.map((index) => runThread(t, env, { index, ...task })))
    },
    begun: async (workers) => {
      while (Atomics.load(program.gate.arrived, 0) < workers) await setImmediate()
    },
  }
}

/** The picks of all threads, by address. */
function sumOf(results: readonly unknown[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const counts of results as Record<string, number>[]) {
    for (const [address, count] of Object.entries(counts)) {
      sums.set(address, (sums.get(address) ?? 0) + count)
    }
  }
  return sums
}

function assertShares(found: ReadonlyMap<string, number>, weights: Record<string, number>): void {
  const total = [...found.values()].reduce((sum, count) => sum + count, 0)
  const cycle = Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  assert.deepEqual([...found.keys()].sort(), Object.keys(weights).sort())
  for (const [address, weight] of Object.entries(weights)) {
    const expected = (total * weight) / cycle
    assert.ok(Math.abs(found.get(address)! - expected) < 1, `${address}: ${found.get(address)}`)
  }
}

describe('load balancing, with real threads', { timeout: 120_000 }, () => {
  test('gives every backend exactly its share over all threads', async (t) => {
    const { run } = await setUp(t, ...WEIGHTED)
    const found = sumOf(await run(4, 'pick', 2_500))
    assertShares(found, { '10.0.0.1:80': 1, '10.0.0.2:80': 2, '10.0.0.3:80': 4 })
  })

  test('keeps the shares exact among those that all threads accept', async (t) => {
    const { run } = await setUp(t, ...WEIGHTED)
    const found = sumOf(await run(4, 'search', 2_500))
    assertShares(found, { '10.0.0.1:80': 1, '10.0.0.3:80': 4 })
  })

  test('never picks a backend in any thread once it is down in the main one', async (t) => {
    const { run, begun, balancer, gate } = await setUp(t, ...WEIGHTED)
    balancer.setHealthCheck({
      check: ({ address }) =>
        address === '10.0.0.3:80' ? Promise.reject(new Error('down')) : Promise.resolve(),
    })
    const threads = run(2, 'pickAfter', 3_000)
    await begun(2)
    await balancer.runHealthCheck()
    Atomics.store(gate.step, 0, 1)
    const found = sumOf(await threads)
    assert.deepEqual([...found.keys()].sort(), ['10.0.0.1:80', '10.0.0.2:80'])
    assert.equal(found.get('10.0.0.1:80')! + found.get('10.0.0.2:80')!, 6_000)
    assert.equal(balancer.backends.ready(WEIGHTED[2]!), false)
  })

  test('lets threads see each set as a whole, with the right health, however often it changes', async (t) => {
    const { run, begun, balancer, discovery, gate } = await setUp(t)
    /** Two that are ready and two that are not; places in memory go from one to the other. */
    const change = async (group: number): Promise<void> => {
      const backends = [0, 1, 2, 3].map((port) => new Backend(`10.0.${group % 200}.1:808${port}`))
      const enablement = new Map(backends.map(({ key }, port) => [key, port % 2 === 0]))
      discovery.result = { backends: group % 3 === 0 ? backends.reverse() : backends, enablement }
      await balancer.update()
    }
    await change(0)
    const threads = run(2, 'watch')
    await begun(2)
    for (let group = 1; group < 3_000; group++) await change(group)
    Atomics.store(gate.step, 0, 1)
    for (const result of await threads) {
      const { faults, picks, sets } = result as { faults: string[]; picks: number; sets: number }
      assert.deepEqual(faults, [])
      assert.ok(picks > 100 && sets > 10, `${picks} picks, ${sets} sets`)
    }
  })

  test('always has a backend to pick when one takes the place of another', async (t) => {
    const { run, begun, balancer, discovery, gate } = await setUp(t)
    const [one, other, spare] = WEIGHTED as [Backend, Backend, Backend]
    /** One of two is allowed; in every second pair of updates the set changes as well. */
    const change = async (number: number): Promise<void> => {
      const isFirst = number % 2 === 0
      discovery.result = {
        backends: number % 4 < 2 ? [one, other] : [one, other, spare],
        enablement: new Map([
          [one.key, isFirst],
          [other.key, !isFirst],
          [spare.key, false],
        ]),
      }
      await balancer.update()
    }
    await change(0)
    const threads = run(1, 'seek')
    await begun(1)
    for (let number = 1; number < 20_000; number++) await change(number)
    Atomics.store(gate.step, 0, 1)
    const [counts] = (await threads) as { nothing: number; found: number }[]
    assert.equal(counts?.nothing, 0)
    assert.ok(counts.found > 1_000)
  })

  test('loses neither health nor enablement when threads change both at the same time', async (t) => {
    const { run, begun, balancer } = await setUp(t, ...WEIGHTED)
    const { health } = balancer.backends.set
    const threads = run(1, 'enable', 200_000)
    await begun(1)
    let lost = 0
    for (let time = 0; time < 200_000; time++) {
      health.observe(0, time % 2 === 0, 1)
      if (health.isHealthy(0) !== (time % 2 === 0)) lost += 1
    }
    assert.deepEqual([lost, await threads], [0, [0]])
    assert.deepEqual([health.isHealthy(0), health.isEnabled(0)], [false, false])
  })

  test('takes a backend out in all threads when one of them says so', async (t) => {
    const { run, balancer } = await setUp(t, ...WEIGHTED)
    assert.equal(balancer.select('', 256)?.address, '10.0.0.3:80')
    await run(1, 'enable')
    assert.equal(balancer.backends.ready(WEIGHTED[0]!), false)
    const found = sumOf(await run(1, 'pick', 600))
    assertShares(found, { '10.0.0.2:80': 1, '10.0.0.3:80': 2 })
  })
})
