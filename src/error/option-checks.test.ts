/** Option checks name the field, the bounds and what was given. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { intInRange } from './index.js'

describe('intInRange', () => {
  test('returns integers within the bounds, the bounds included', () => {
    for (const value of [1, 2, 10]) assert.equal(intInRange('maxPerKey', value, 1, 10), value)
  })

  test('refuses everything else by name', () => {
    for (const value of [0, 11, 1.5, Number.NaN, Infinity, '5' as unknown as number]) {
      assert.throws(() => intInRange('maxPerKey', value, 1, 10), {
        code: 'PGR_OPTION_INVALID',
        message: `maxPerKey: integer 1 to 10, got ${value}`,
      })
    }
  })
})
