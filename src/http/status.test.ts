/** Status codes: their reasons, and which responses have no body. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hasNoBody, reasonPhrase } from './index.js'

describe('reasonPhrase', () => {
  test('knows the statuses that the proxy itself answers with', () => {
    for (const status of [400, 405, 408, 413, 414, 429, 431, 500, 502, 503, 504, 505]) {
      assert.notEqual(reasonPhrase(status), '')
    }
  })

  test('is empty for statuses that are not registered', () => {
    for (const status of [0, 299, 418, 599, 999]) assert.equal(reasonPhrase(status), '')
  })
})

describe('hasNoBody', () => {
  test('follows RFC 9112 §6.3 rule 1', () => {
    assert.equal(hasNoBody('HEAD', 200), true)
    assert.equal(hasNoBody('GET', 100), true)
    assert.equal(hasNoBody('GET', 199), true)
    assert.equal(hasNoBody('GET', 204), true)
    assert.equal(hasNoBody('GET', 304), true)
    assert.equal(hasNoBody('GET', 200), false)
    assert.equal(hasNoBody('GET', 205), false)
    assert.equal(hasNoBody('head', 200), false, 'methods are case-sensitive')
  })
})
