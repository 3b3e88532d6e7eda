/** The table of codes: every entry can become a response, a log field and a metric label. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ERROR_CODES } from './index.js'

describe('ERROR_CODES', () => {
  for (const [code, { source, status, text }] of Object.entries(ERROR_CODES)) {
    test(`${code} has a well-formed entry`, () => {
      assert.match(code, /^PGR(_[A-Z0-9]+)+$/)
      assert.ok(Number.isInteger(status) && status >= 400 && status <= 599)
      assert.match(text, /^\S.*[^.\s]$/, 'a fragment without full stop')
      if (source === 'downstream') assert.ok(status < 500 || status === 505)
      else assert.ok(status >= 500)
    })
  }

  test('gives no two codes the same text', () => {
    const texts = Object.values(ERROR_CODES).map(({ text }) => text)
    assert.equal(new Set(texts).size, texts.length)
  })
})
