import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ERROR_CODES, ProxyError } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import { errorResponse, statusResponse } from './error-response.js'

describe('errorResponse', () => {
  test('is small and plain, and says nothing about the inside of the proxy', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const { header, body } = errorResponse(new ProxyError(code, 'secret 10.0.0.1'))
      assert.equal(header.status, ERROR_CODES[code].status)
      assert.equal(header.getHeader('Content-Length'), String(body.length))
      assert.equal(header.getHeader('Content-Type'), 'text/plain; charset=utf-8')
      assert.match(body.toString(), /^\d{3}( [A-Za-z ]+)?\n$/)
    }
  })
})

describe('statusResponse', () => {
  test('has the text of its caller, as UTF-8', () => {
    const { header, body } = statusResponse(503, 'gr\u00fc\u00df')
    assert.equal(body.toString('utf8'), 'gr\u00fc\u00df')
    assert.equal(header.getHeader('Content-Length'), '6')
  })

  test('does without a reason for a status that has none', () => {
    assert.equal(statusResponse(599).body.toString(), '599\n')
  })
})
