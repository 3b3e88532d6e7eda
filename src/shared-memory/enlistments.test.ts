import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { collectGarbage } from '../../test/helpers/collect-garbage.js'
import { MAX_ENLISTED } from './enlistments.js'
import { int32 } from './shape.js'
import { SharedRegistry } from './shared-registry.js'
import type { Shareable } from './shared-registry.js'

/** A number that is private until it is shared. */
class Shared implements Shareable {
  value: Int32Array = new Int32Array(1)
  readonly names: string[] = []

  constructor(registry: SharedRegistry, name?: string) {
    registry.enlist('number', this, name)
  }

  share(registry: SharedRegistry, name: string): void {
    this.names.push(name)
    const { value } = registry.region('number', { value: int32(1) }, name).fields
    if (registry.workerIndex === 0) value.set(this.value)
    this.value = value
  }
}

describe('SharedRegistry.enlist', () => {
  test('shares what was made before the workers are known, by name and order', () => {
    const main = new SharedRegistry()
    const made = [undefined, 'api', undefined, 'api'].map((name) => new Shared(main, name))
    for (const [place, { value }] of made.entries()) value[0] = place + 1
    assert.deepEqual(main.unclaimed, [])
    const worker = workerOf(main)
    for (const { value } of made) value[0]! *= 10
    // Another order between names: only the one within a name counts.
    const found = ['api', 'api', undefined, undefined].map((name) => new Shared(worker, name))
    assert.deepEqual(
      found.map(({ value }) => value[0]),
      [20, 40, 10, 30],
    )
    assert.deepEqual(
      found.map(({ names }) => names),
      [['api#0'], ['api#1'], ['#0'], ['#1']],
    )
    assert.deepEqual(worker.unclaimed, [])
  })

  test('leaves what is made afterwards to its thread', () => {
    const main = new SharedRegistry()
    new Shared(main)
    const worker = workerOf(main)
    new Shared(worker)
    worker.seal()
    const late = [main, worker, workerOf(main)].map((registry, place) => {
      if (place === 2) new Shared(registry)
      registry.seal()
      return new Shared(registry)
    })
    assert.deepEqual(
      late.map(({ names }) => names),
      [[], [], []],
    )
  })

  test('refuses in a worker what the main thread had not made', () => {
    const main = new SharedRegistry()
    new Shared(main, 'api')
    const worker = workerOf(main)
    new Shared(worker, 'api')
    for (const [name, text] of [
      ['api', /^shared memory number "api": worker 1 makes number 2, the main thread made 1; all /],
      ['web', /^shared memory number "web": worker 1 makes number 1, the main thread made 0; all /],
      [undefined, /^shared memory number: worker 1 makes number 1, the main thread made 0; all /],
    ] as const) {
      assert.throws(() => new Shared(worker, name), {
        code: 'PGR_SHARED_MEMORY_MISMATCH',
        message: text,
      })
    }
  })

  test('keeps nothing alive, and lets a worker keep its own of what was garbage', async () => {
    const main = new SharedRegistry()
    const first = new WeakRef(new Shared(main))
    const second = new Shared(main)
    assert.ok(await collectGarbage(() => first.deref() === undefined))
    const worker = workerOf(main)
    const [own, common] = [new Shared(worker), new Shared(worker)]
    second.value[0] = 7
    assert.deepEqual([own.value[0], common.value[0]], [0, 7])
    assert.deepEqual(own.names, [])
  })

  test('makes regions only for what is shared, and has no limit on what is not', () => {
    const main = new SharedRegistry()
    const made = Array.from(
      { length: MAX_ENLISTED + 1 },
      (_, place) => new Shared(main, `${place}`),
    )
    const { regions, enlisted } = main.export(1)
    assert.equal(regions.length, MAX_ENLISTED)
    assert.equal(enlisted.made.size, MAX_ENLISTED)
    assert.deepEqual(made.at(-1)?.names, [])
  })

  function workerOf(main: SharedRegistry): SharedRegistry {
    return SharedRegistry.import(structuredClone(main.export(1)), { workerIndex: 1 })
  }
})
