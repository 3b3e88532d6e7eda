import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SharedRegistry } from '../../shared-memory/internal.js'
import { Position } from './position.js'

describe('Position', () => {
  test('counts up, and passes over what it is told to', () => {
    const position = new Position()
    position.take()
    position.skip(3)
    assert.deepEqual([position.take(), position.take()], [4, 5])
  })

  test('keeps a rotation going where it starts again', () => {
    const turns = fc.property(fc.integer({ min: 1, max: 100 }), fc.nat(300), (period, before) => {
      const position = new Position()
      position.skip(2 ** 31 - before)
      const first = position.take(period)
      for (let step = 1; step < 600; step++) {
        assert.equal(position.take(period) % period, (first + step) % period)
      }
    })
    fc.assert(turns)
  })

  test('takes positions back only while no other was given', () => {
    for (const start of [0, 2 ** 31 - 2, 2 ** 32 - 2]) {
      const position = new Position()
      position.skip(start)
      const [first, , last] = [position.take(), position.take(), position.take()]
      position.giveBack(2, last)
      assert.equal(position.take(), (first + 1) % 2 ** 31)
      position.giveBack(1, last)
      assert.equal(position.take(), (first + 2) % 2 ** 31)
    }
  })

  test('is one for all threads, from where it was', () => {
    const main = new SharedRegistry()
    const [other, position] = [new Position(main), new Position(main, 'api')]
    position.skip(5)
    const worker = SharedRegistry.import(main.export(1), { workerIndex: 1 })
    const same = new Position(worker, 'api')
    assert.deepEqual([same.take(), position.take(), same.take()], [5, 6, 7])
    assert.equal(other.take(), 0)
  })
})
