import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { allocate, describeShape, float64, int32, viewsOf } from './shape.js'
import type { Shape } from './shape.js'

describe('a shape', () => {
  test('is memory whose fields are zero at first and do not overlap', () => {
    const field = fc.record({
      type: fc.constantFrom('int32' as const, 'float64' as const),
      length: fc.integer({ min: 1, max: 9 }),
    })
    const shapes: fc.Arbitrary<Shape> = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), field, {
      minKeys: 1,
      noNullPrototype: true,
    })
    const separate = fc.property(shapes, (shape) => {
      const memory = allocate(shape)
      const views = Object.entries(viewsOf(shape, memory))
      for (const [name, view] of views) assert.equal(view.length, shape[name]?.length)
      for (const [place, [, view]] of views.entries()) {
        assert.ok(view.every((number) => number === 0))
        view.fill(place + 1)
      }
      for (const [place, [, view]] of views.entries()) {
        assert.ok(view.every((number) => number === place + 1))
      }
    })
    fc.assert(separate)
  })

  test('leaves a cache line after its last number, so that no other region is on it', () => {
    for (const shape of [{ a: int32(1) }, { a: int32(16) }, { a: int32(3), b: float64(8) }]) {
      const memory = allocate(shape)
      const last = Object.values(viewsOf<Shape>(shape, memory)).at(-1)!
      assert.ok(memory.byteLength - (last.byteOffset + last.byteLength) >= 64)
    }
  })

  test('can be told in words', () => {
    assert.equal(
      describeShape({ flags: int32(64), load: float64(2) }),
      '{ flags: int32 × 64, load: float64 × 2 }',
    )
  })

  test('has bounds', () => {
    for (const length of [0, -1, 1.5, NaN, 2 ** 28 + 1]) {
      assert.throws(() => allocate({ flags: int32(length) }), {
        code: 'PGR_OPTION_INVALID',
        message: /^flags\.length: /,
      })
    }
    assert.throws(() => allocate({ a: int32(2 ** 27), b: int32(2 ** 27) }), {
      code: 'PGR_OPTION_INVALID',
      message: 'shared memory: at most 1073741824 bytes per region, got 1073741888',
    })
  })
})
