import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { ByteRing } from './byte-ring.js'

describe('ByteRing', () => {
  test('gives back what it took, across the end of its memory and as it grows', () => {
    const step = fc.record({
      append: fc.oneof(fc.nat(40), fc.nat(3_000)),
      from: fc.nat(5),
      asText: fc.boolean(),
      read: fc.oneof(fc.nat(40), fc.nat(3_000)),
      how: fc.constantFrom('read', 'read', 'skip', 'truncate'),
    })
    const agrees = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ring = new ByteRing()
      let model = Buffer.alloc(0)
      let written = 0
      for (const { append, from, asText, read, how } of steps) {
        const data = Buffer.alloc(append + from + 3)
        for (let index = 0; index < data.length; index++) data[index] = written++ % 251
        ring.append(asText ? data.toString('latin1') : data, from, from + append)
        model = Buffer.concat([model, data.subarray(from, from + append)])
        assert.equal(ring.length, model.length)
        const count = Math.min(read, model.length)
        assert.equal(ring.checksum(count, model.length - count), crc32(model.subarray(count)))
        if (how === 'truncate') {
          ring.truncate(count)
          model = model.subarray(0, count)
          continue
        }
        if (how === 'read') {
          const target = Buffer.alloc(count)
          ring.read(target, count)
          assert.deepEqual(target, model.subarray(0, count))
        } else ring.skip(count)
        model = model.subarray(count)
      }
      const rest = Buffer.alloc(model.length)
      ring.read(rest, model.length)
      assert.deepEqual(rest, model)
      assert.equal(ring.length, 0)
    })
    fc.assert(agrees, { numRuns: 200 })
  })

  test('is as good as new when it was cleared', () => {
    const ring = new ByteRing()
    ring.append('gone', 0, 4)
    ring.clear()
    assert.equal(ring.length, 0)
    ring.append('new', 0, 3)
    const target = Buffer.alloc(3)
    ring.read(target, 3)
    assert.equal(target.toString(), 'new')
  })
})
