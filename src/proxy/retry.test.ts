import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError } from '../error/index.js'
import type { RetryDecision } from '../error/index.js'
import { decideRetry } from './retry.js'

describe('decideRetry', () => {
  const error = (retry: RetryDecision): ProxyError =>
    new ProxyError('PGR_UPSTREAM_CLOSED', undefined, { retry })

  for (const reused of [false, true]) {
    for (const requestStarted of [false, true]) {
      for (const method of [
        'GET',
        'HEAD',
        'OPTIONS',
        'TRACE',
        'PUT',
        'DELETE',
        'POST',
        'PATCH',
        'X',
      ]) {
        const facts = { method, reused, requestStarted }
        const idempotent = !['POST', 'PATCH', 'X'].includes(method)
        const expected = reused && (idempotent || !requestStarted)
        test(`if-reused means ${expected ? 'yes' : 'no'} for ${JSON.stringify(facts)}`, () => {
          assert.equal(decideRetry(error('if-reused'), facts), expected)
        })
      }
    }
  }

  test('what was decided before stands', () => {
    const worst = { method: 'POST', reused: false, requestStarted: true }
    assert.equal(decideRetry(error('yes'), worst), true)
    const best = { method: 'GET', reused: true, requestStarted: false }
    assert.equal(decideRetry(error('no'), best), false)
  })
})
