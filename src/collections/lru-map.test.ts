import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LruMap } from './lru-map.js'

describe('LruMap', () => {
  test('forgets the entry that was used least recently', () => {
    const map = new LruMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    assert.equal(map.get('a'), 1)
    map.set('c', 3)
    assert.deepEqual([map.get('a'), map.get('b'), map.get('c')], [1, undefined, 3])
    assert.equal(map.size, 2)
  })

  test('setting a key again uses it and does not add to the size', () => {
    const map = new LruMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    map.set('a', 3)
    map.set('c', 4)
    assert.deepEqual([map.get('a'), map.get('b')], [3, undefined])
    assert.equal(map.delete('a'), true)
    assert.equal(map.delete('a'), false)
    assert.equal(map.size, 1)
  })

  test('refuses a limit that is no integer from 1', () => {
    for (const limit of [0, -1, 1.5, NaN]) {
      assert.throws(() => new LruMap(limit), { code: 'PGR_OPTION_INVALID' })
    }
  })
})
