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
