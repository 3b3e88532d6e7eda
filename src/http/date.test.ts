/** The Date field: IMF-fixdate, formatted once per second. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HttpDate } from './index.js'

describe('HttpDate', () => {
  test('formats the example of RFC 9110 §5.6.7', () => {
    assert.equal(new HttpDate().at(784_111_777_000), 'Sun, 06 Nov 1994 08:49:37 GMT')
  })

  test('changes with the second, in both directions, and not within it', () => {
    const date = new HttpDate()
    assert.equal(date.at(999), 'Thu, 01 Jan 1970 00:00:00 GMT')
    assert.equal(date.at(1_000), 'Thu, 01 Jan 1970 00:00:01 GMT')
    assert.equal(date.at(1_999.9), 'Thu, 01 Jan 1970 00:00:01 GMT')
    assert.equal(date.at(0), 'Thu, 01 Jan 1970 00:00:00 GMT')
  })
})
