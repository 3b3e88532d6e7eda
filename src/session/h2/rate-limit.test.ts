import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from './rate-limit.js'

test('lets a burst pass, and then as many as time brings', () => {
  const limit = new RateLimit(3, 10, 0)
  const takes = (nowMs: number, count: number): boolean[] =>
    Array.from({ length: count }, () => limit.take(nowMs))
  assert.deepEqual(takes(0, 4), [true, true, true, false])
  assert.deepEqual(takes(99, 1), [false])
  assert.deepEqual(takes(200, 3), [true, true, false])
  // It never saves up more than the burst.
  assert.deepEqual(takes(1_000_000, 4), [true, true, true, false])
})

test('counts several at once, and those that are earned back', () => {
  const limit = new RateLimit(10, 1, 0)
  assert.equal(limit.take(0, 8), true)
  assert.equal(limit.take(0, 3), false)
  assert.equal(limit.take(0, -5), true)
  assert.equal(limit.take(0, 7), true)
  assert.equal(limit.take(0), false)
  limit.reset()
  assert.equal(limit.take(0, 10), true)
})
