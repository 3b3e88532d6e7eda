import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ERROR_CODES, ProxyError } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import { RequestHeader } from '../http/index.js'
import { errorResponse, failureResponse } from './error-response.js'

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

describe('failureResponse', () => {
  const get = new RequestHeader('GET', '/', '1.1')
  const failed = new ProxyError('PGR_HOOK_FAILED')

  test('has the text of its caller, as UTF-8', () => {
    const { header, body } = failureResponse(get, failed, 503, 'gr\u00fc\u00df')
    assert.equal(body.toString('utf8'), 'gr\u00fc\u00df')
    assert.equal(header.getHeader('Content-Length'), '6')
  })

  test('does without a reason for a status that has none', () => {
    assert.equal(failureResponse(get, failed, 599).body.toString(), '599\n')
  })

  for (const [code, status, message] of [
    ['PGR_CONNECT_TIMEOUT', '14', '504 Gateway Timeout'],
    ['PGR_UPSTREAM_READ_TIMEOUT', '4', '504 Gateway Timeout'],
    ['PGR_NO_PEER', '14', '503 Service Unavailable'],
  ] as const) {
    test(`ends a gRPC call after ${code} with ${status}`, () => {
      const call = new RequestHeader('POST', '/a.B/C', '2')
      call.insertHeader('content-type', 'application/grpc')
      const error = new ProxyError(code)
      const { header } = failureResponse(call, error, error.status)
      assert.equal(header.getHeader('grpc-status'), status)
      assert.equal(header.getHeader('grpc-message'), message)
    })
  }
})
