import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LinkedSet } from './linked-set.js'

describe('LinkedSet', () => {
  test('keeps the order of addition, whoever is removed', () => {
    for (const removed of [[0], [1], [2], [0, 1], [1, 2], [2, 0], [0, 1, 2], [2, 1, 0]]) {
      const set = new LinkedSet<number>()
      const links = [0, 1, 2].map((member) => set.add(member))
      for (const index of removed) assert.equal(set.remove(links[index]!), true)
      const left = [0, 1, 2].filter((member) => !removed.includes(member))
      assert.deepEqual([...set], left)
      assert.equal(set.size, left.length)
      set.add(3)
      assert.deepEqual([...set], [...left, 3])
    }
  })

  test('removes once, and only its own', () => {
    const [set, other] = [new LinkedSet<string>(), new LinkedSet<string>()]
    const link = set.add('a')
    other.add('a')
    assert.equal(other.remove(link), false)
    assert.equal(set.remove(link), true)
    assert.equal(set.remove(link), false)
    assert.deepEqual([set.size, other.size], [0, 1])
  })

  test('what was removed holds nothing', () => {
    const set = new LinkedSet<object>()
    const links = [{}, {}, {}].map((member) => set.add(member))
    set.remove(links[1]!)
    const { member, previous, next } = links[1]!
    assert.deepEqual([member, previous, next], [null, null, null])
  })

  test('iterates while members come and go', () => {
    const set = new LinkedSet<string>()
    const links = new Map(['a', 'b', 'c', 'd'].map((member) => [member, set.add(member)]))
    const seen: string[] = []
    for (const member of set) {
      seen.push(member)
      set.remove(links.get(member)!)
      if (member === 'a') set.remove(links.get('c')!)
      if (member === 'b') set.add('e')
    }
    assert.deepEqual(seen, ['a', 'b', 'd'])
    assert.deepEqual([...set], ['e'])
  })
})
