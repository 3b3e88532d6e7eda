import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { collectGarbage } from '../../test/helpers/collect-garbage.js'
import { testWorld } from '../../test/helpers/test-world.js'
import { SharedRegistry } from '../shared-memory/internal.js'
import type { Environment } from '../transport/index.js'
import { Backend } from './backend.js'
import type { BackendExt } from './backend.js'
import { Backends } from './backends.js'
import type { DiscoveryResult } from './discovery/service-discovery.js'
import { LoadBalancer } from './load-balancer.js'
import { MAX_SET_BYTES } from './set-codec.js'

const [A, B, C] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'].map(
  (address) => new Backend(address),
) as [Backend, Backend, Backend]

interface Program {
  /** What the main thread finds. */
  found: readonly Backend[]
  enablement: ReadonlyMap<string, boolean>
  readonly main: Backends
  /** The same backends in a thread of their own, as it were; they must not ask what there is. */
  readonly worker: () => Backends
}

async function setUp(t: TestContext, ...found: Backend[]): Promise<Program> {
  const { env } = testWorld(t)
  const discover = (): Promise<DiscoveryResult> => {
    const { found: backends, enablement } = program
    return Promise.resolve({ backends, enablement })
  }
  const refuse = (): never => assert.fail('a worker asked the discovery')
  const program: Program = {
    found,
    enablement: new Map(),
    main: new Backends({ discover }, { env }),
    worker: () =>
      new Backends({ discover: refuse }, { env: { ...env, sharedMemory: workerOf(env) } }),
  }
  await program.main.update()
  return program
}

function workerOf({ sharedMemory }: { sharedMemory: SharedRegistry }): SharedRegistry {
  return SharedRegistry.import(sharedMemory.export(2), { workerIndex: 1 })
}

function state(backends: Backends): string {
  return backends.list
    .map((backend) => `${backend.address} ${backends.ready(backend) ? 'up' : 'down'}`)
    .join()
}

describe('Backends in a worker', () => {
  test('are those of the main thread from the start, and follow it', async (t) => {
    const program = await setUp(t, A, B)
    const { main } = program
    main.setEnabled(B, false)
    const worker = program.worker()
    assert.equal(state(worker), '10.0.0.1:80 up,10.0.0.2:80 down')
    program.found = [B, C]
    assert.equal(await main.update(), true)
    assert.equal(state(worker), '10.0.0.2:80 down,10.0.0.3:80 up')
    assert.equal(worker.setEnabled(A, false), false)
    assert.equal(worker.setEnabled(C, false), true)
    assert.equal(worker.setEnabled(B, true), true)
    assert.equal(state(main), '10.0.0.2:80 up,10.0.0.3:80 down')
  })

  test('neither update nor check', async (t) => {
    const program = await setUp(t, A)
    const worker = program.worker()
    worker.setHealthCheck({ check: () => Promise.reject(new Error('a worker checked')) })
    assert.equal(await worker.update(), false)
    await worker.runHealthCheck()
    assert.equal(state(worker), '10.0.0.1:80 up')
    const { env } = testWorld(t)
    const balancer = LoadBalancer.fromBackends(worker, { env })
    balancer.updateFrequencyMs = 1
    let ready = 0
    const { signal } = new AbortController()
    await balancer.start({ signal, logger: testWorld(t).logger, ready: () => ready++ })
    assert.equal(ready, 1)
  })

  test('never see a set between two that has nothing to pick', async (t) => {
    const program = await setUp(t, A, B)
    const { main } = program
    const worker = program.worker()
    const seen: string[] = []
    program.enablement = new Map([
      [A.key, false],
      [B.key, true],
    ])
    await main.update()
    for (const [found, on, off] of [
      [[A, C], A, B],
      [[B, C], B, A],
    ] as const) {
      program.found = [...found]
      program.enablement = new Map([
        [on.key, true],
        [C.key, false],
      ])
      await main.update(() => seen.push(state(worker)))
      seen.push(state(worker))
      main.setEnabled(off, true)
    }
    assert.deepEqual(seen, [
      '10.0.0.1:80 down,10.0.0.2:80 up',
      '10.0.0.1:80 up,10.0.0.3:80 down',
      '10.0.0.1:80 up,10.0.0.3:80 down',
      '10.0.0.2:80 up,10.0.0.3:80 down',
    ])
  })

  test('keep everything when the main thread refuses an update', async (t) => {
    const program = await setUp(t, A, B)
    const { main } = program
    const worker = program.worker()
    main.setEnabled(A, false)
    program.found = [A, C]
    program.enablement = new Map([[A.key, true]])
    const refuse = (): void => assert.fail('refused')
    await assert.rejects(main.update(refuse), /refused/)
    const large = { data: 'x'.repeat(MAX_SET_BYTES) }
    program.found = [new Backend('10.0.0.9:80', { ext: large })]
    await assert.rejects(main.update(), {
      code: 'PGR_OPTION_INVALID',
      message: /^backends: at most 8388608 bytes as JSON when threads share them; got 83886/,
    })
    for (const backends of [main, worker]) {
      assert.equal(state(backends), '10.0.0.1:80 down,10.0.0.2:80 up')
    }
    program.found = [C]
    program.enablement = new Map()
    await main.update()
    assert.equal(state(worker), '10.0.0.3:80 up')
  })

  test('have of the user’s data what JSON can say', async (t) => {
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const ext = { zone: 'b', limits: { rps: [5] }, call: () => 1, big: 1n, circle, none: undefined }
    const only = { call: () => 1 }
    const { main, worker } = await setUp(
      t,
      new Backend(A.address, { ext }),
      new Backend(B.address, { ext: only }),
      C,
    )
    const there = worker().list.map((backend): BackendExt => backend.ext)
    assert.deepEqual(there, [{ zone: 'b', limits: { rps: [5] } }, {}, {}])
    assert.equal(main.list[0]?.ext, ext)
  })

  test('have the state of the main thread’s after whatever happens there', async (t) => {
    const all = Array.from({ length: 6 }, (_, n) => new Backend(`10.0.1.${n}:80`))
    const subset = fc.subarray(all)
    const step = fc.oneof(
      fc.record({ found: subset }),
      fc.record({ worker: fc.boolean(), backend: fc.constantFrom(...all), enabled: fc.boolean() }),
      fc.record({ backend: fc.constantFrom(...all), healthy: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step), async (steps) => {
        const program = await setUp(t, ...all)
        const { main } = program
        const worker = program.worker()
        const lazy = program.worker()
        for (const step of steps) {
          if ('found' in step) {
            program.found = step.found
            await main.update()
          } else if ('healthy' in step) {
            const { set } = main
            const index = set.indexOf(step.backend)
            if (index >= 0) set.health.observe(index, step.healthy, 1)
          } else (step.worker ? worker : main).setEnabled(step.backend, step.enabled)
          assert.equal(state(worker), state(main))
        }
        assert.equal(state(lazy), state(main))
      }),
      { numRuns: 50 },
    )
  })
})

describe('LoadBalancer in a worker', () => {
  test('takes its set from the main thread, and its name or order from the program', async (t) => {
    const { env } = testWorld(t)
    const main = await make(env, ['', 'api', 'web'])
    const worker = await make({ ...env, sharedMemory: workerOf(env) }, ['web', 'api', ''])
    for (const name of ['', 'api', 'web']) {
      const threads = [main.get(name)!, worker.get(name)!]
      const picks = [0, 1, 1, 0].map((thread) => threads[thread]!.select('', 256)?.address)
      assert.deepEqual(picks, [A.address, B.address, A.address, B.address])
    }
  })

  test('leaves nothing behind when it is dropped before there are workers', async (t) => {
    const { env } = testWorld(t)
    const made: WeakRef<LoadBalancer>[] = []
    for (let number = 0; number < 100; number++) {
      made.push(new WeakRef(await LoadBalancer.tryFromIter([A.address], { env, name: 'api' })))
    }
    const kept = await LoadBalancer.tryFromIter([A.address, B.address], { env, name: 'api' })
    assert.ok(await collectGarbage(() => made.every((each) => each.deref() === undefined)))
    assert.equal(env.sharedMemory.export(2).regions.length, 3)
    const names = Array<string>(101).fill('api')
    const [last] = [...(await make({ ...env, sharedMemory: workerOf(env) }, names)).values()]
    const picks = [kept, last, last, kept].map((each) => each?.select('', 256)?.address)
    assert.deepEqual(picks, [A.address, B.address, A.address, B.address])
  })

  test('is the thread’s own when it is made later, and does everything itself', async (t) => {
    const { env } = testWorld(t, { names: { 'api.test': ['10.0.0.9'] } })
    const worker = workerOf(env)
    worker.seal()
    for (const sharedMemory of [env.sharedMemory, worker]) {
      const options = { env: { ...env, sharedMemory }, name: 'api' }
      const balancer = await LoadBalancer.tryFromIter(['api.test:80'], options)
      assert.equal(balancer.select('', 256)?.address, '10.0.0.9:80')
      balancer.setHealthCheck({ check: () => Promise.reject(new Error('down')) })
      await balancer.runHealthCheck()
      assert.equal(balancer.select('', 256), undefined)
    }
  })

  /** Balancers of these names, `''` for none; a worker is given another address, which it must not use. */
  async function make(
    env: Environment,
    names: readonly string[],
  ): Promise<Map<string, LoadBalancer>> {
    const made = new Map<string, LoadBalancer>()
    const isMain = env.sharedMemory.workerIndex === 0
    for (const name of names) {
      const options = { env, ...(name !== '' && { name }) }
      const addresses = isMain ? [A.address, B.address] : ['10.0.0.9:80']
      made.set(name, await LoadBalancer.tryFromIter(addresses, options))
    }
    return made
  }
})
