import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { int32 } from './shape.js'
import { SharedRegistry } from './shared-registry.js'

const ONE = { value: int32(1) }

describe('SharedRegistry', () => {
  test('finds the n-th unnamed region of a kind, and the named ones, whatever lies between', () => {
    const requests = fc.array(
      fc.record({
        kind: fc.constantFrom('a', 'b'),
        name: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
      }),
    )
    const finds = fc.property(requests, (list) => {
      const named = new Set<string>()
      const wanted = list.filter(({ kind, name }) => {
        const fresh = name === undefined || !named.has(kind + name)
        named.add(`${kind}${name}`)
        return fresh
      })
      const main = new SharedRegistry()
      for (const [place, { kind, name }] of wanted.entries()) {
        main.region(kind, ONE, name).fields.value[0] = place + 1
      }
      const worker = SharedRegistry.import(structuredClone(main.export(1)), { workerIndex: 1 })
      // Kind by kind: only the order within a kind counts.
      for (const each of ['b', 'a']) {
        for (const [place, { kind, name }] of wanted.entries()) {
          if (kind !== each) continue
          assert.equal(worker.region(kind, ONE, name).fields.value[0], place + 1)
        }
      }
      assert.deepEqual(worker.unclaimed, [])
    })
    fc.assert(finds)
  })

  test('names regions by kind and name or order', () => {
    const registry = new SharedRegistry()
    const ids = [undefined, 'api "v1"\n', undefined].map(
      (name) => registry.region('turns', ONE, name).id,
    )
    assert.deepEqual(ids, ['turns#0', 'turns "api \\"v1\\"\\n"', 'turns#1'])
  })

  test('refuses another shape in a worker, names both and says what to do', () => {
    const worker = workerOf((main) => {
      main.region('health', { flags: int32(64) })
    })
    assert.throws(() => worker.region('health', { flags: int32(65) }), {
      code: 'PGR_SHARED_MEMORY_MISMATCH',
      source: 'internal',
      status: 500,
      message:
        'shared memory health#0: worker 1 asks for { flags: int32 × 65 }, the main thread made ' +
        '{ flags: int32 × 64 }; all threads must make the same objects in the same order and with ' +
        'the same options; give those a name that only some threads make, or that come in another order',
    })
  })

  test('refuses another sharing of the same shape', () => {
    const worker = workerOf((main) => main.regionPerThread('held', ONE, 'per thread, zeroed'))
    assert.throws(() => worker.region('held', ONE), {
      message:
        /asks for \{ value: int32 × 1 \}, the main thread made \{ value: int32 × 1 \} per thread, zeroed;/,
    })
  })

  test('refuses an unknown region in a worker, and lists those of its kind', () => {
    const worker = workerOf((main) => {
      for (let made = 0; made < 6; made++) main.region('health', { flags: int32(made + 1) })
    })
    assert.throws(() => worker.region('health', ONE, 'api'), {
      code: 'PGR_SHARED_MEMORY_MISMATCH',
      message:
        /^shared memory health "api": worker 1 asks for \{ value: int32 × 1 \}, the main thread made none of that name, but health#0 \{ flags: int32 × 1 \}, .*health#3 \{ flags: int32 × 4 \} and 2 more; /,
    })
    assert.throws(() => worker.region('turns', ONE), {
      message: /the main thread made none of that name, and no turns at all; /,
    })
  })

  test('has every name once per kind', () => {
    const registry = new SharedRegistry()
    registry.region('a', ONE, 'same')
    registry.region('b', ONE, 'same')
    for (const name of ['same', '']) {
      assert.throws(() => registry.region('a', ONE, name), { code: 'PGR_OPTION_INVALID' })
    }
    const worker = SharedRegistry.import(registry.export(1), { workerIndex: 1 })
    worker.region('a', ONE, 'same')
    assert.throws(() => worker.region('a', ONE, 'same'), { code: 'PGR_OPTION_INVALID' })
  })

  test('gives every thread its own row, also of what is made after the workers are known', () => {
    const main = new SharedRegistry()
    const early = main.regionPerThread('early', ONE, 'per thread, kept')
    assert.equal(early.rows.length, 1)
    main.export(2)
    const late = main.regionPerThread('late', ONE, 'per thread, kept')
    for (const { kind, region } of [
      { kind: 'early', region: early },
      { kind: 'late', region: late },
    ]) {
      for (const workerIndex of [1, 2]) {
        const worker = SharedRegistry.import(main.export(2), { workerIndex })
        worker.regionPerThread(kind, ONE, 'per thread, kept').own.value[0] = workerIndex
      }
      region.own.value[0] = 7
      assert.deepEqual(
        region.rows.map(({ value }) => value[0]),
        [7, 1, 2],
      )
    }
  })

  test('fixes the number of workers with the first export', () => {
    const main = new SharedRegistry()
    for (const workers of [0, 1.5, 1_025]) {
      assert.throws(() => main.export(workers), { code: 'PGR_OPTION_INVALID' })
    }
    const description = main.export(2)
    assert.throws(() => main.export(3), {
      code: 'PGR_OPTION_INVALID',
      message: /laid out for 2, got 3/,
    })
    for (const workerIndex of [0, 3]) {
      assert.throws(() => SharedRegistry.import(description, { workerIndex }), {
        code: 'PGR_OPTION_INVALID',
      })
      assert.throws(() => main.clearWorker(workerIndex), { code: 'PGR_OPTION_INVALID' })
    }
    assert.equal(SharedRegistry.import(description, { workerIndex: 2 }).workerIndex, 2)
    assert.equal(main.workerIndex, 0)
  })

  test('zeroes the rows of a worker that ended, and only those to be zeroed', () => {
    const main = new SharedRegistry()
    const held = main.regionPerThread('held', ONE, 'per thread, zeroed')
    const counted = main.regionPerThread('counted', ONE, 'per thread, kept')
    const common = main.region('common', ONE)
    main.export(2)
    common.fields.value[0] = 1
    for (const { value } of [...held.rows, ...counted.rows]) value[0] = 1
    main.clearWorker(1)
    assert.deepEqual(
      held.rows.map(({ value }) => value[0]),
      [1, 0, 1],
    )
    assert.deepEqual(
      counted.rows.map(({ value }) => value[0]),
      [1, 1, 1],
    )
    assert.equal(common.fields.value[0], 1)
  })

  test('has a limit, so that objects made per request are noticed', () => {
    const registry = new SharedRegistry()
    for (let made = 0; made < 65_536; made++) registry.region('turns', ONE)
    assert.throws(() => registry.region('turns', ONE), {
      code: 'PGR_OPTION_INVALID',
      message: /^shared memory: at most 65536 regions, and turns#65536 is one more; /,
    })
  })

  /** Worker 1 of a main thread that has made something. */
  function workerOf(make: (main: SharedRegistry) => void): SharedRegistry {
    const main = new SharedRegistry()
    make(main)
    return SharedRegistry.import(main.export(1), { workerIndex: 1 })
  }
})
