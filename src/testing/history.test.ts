import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { History } from './history.js'

describe('History', () => {
  test('keeps the newest, and goes on counting', () => {
    const history = new History<number>(3)
    for (let entry = 0; entry < 100; entry++) {
      history.add(entry)
      assert.ok(history.entries.length < 6)
      assert.ok(history.entries.length >= Math.min(3, entry + 1))
      assert.equal(history.entries.at(-1), entry)
      assert.equal(history.count, entry + 1)
    }
  })

  test('gives what was added since a count, as far as it is kept', () => {
    const history = new History<string>(2)
    history.add('a')
    const mark = history.count
    assert.deepEqual(history.since(mark), [])
    history.add('b')
    history.add('c')
    assert.deepEqual(history.since(mark), ['b', 'c'])
    history.add('d')
    assert.deepEqual(history.since(mark), ['c', 'd'])
    assert.deepEqual(history.since(0), ['c', 'd'])
  })
})
