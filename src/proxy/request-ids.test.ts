import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestIds } from './request-ids.js'

test('request ids differ within a thread, between threads and between starts', () => {
  const threads = [new RequestIds(1e12, 0), new RequestIds(1e12, 3), new RequestIds(1e12 + 1, 0)]
  const ids = threads.flatMap((thread) => Array.from({ length: 100 }, () => thread.next()))
  assert.equal(new Set(ids).size, 300)
  assert.deepEqual([ids[0], ids[135]], ['cre66i9s-1', 'cre66i9s.3-10'])
})
