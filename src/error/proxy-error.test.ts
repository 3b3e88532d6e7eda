/** The error type: codes give side and status, causes can be walked, anything thrown can be told. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyError, causedBy, describeThrown, rootCause, toProxyError } from './index.js'

describe('ProxyError', () => {
  test('takes side, status and text from the table', () => {
    const error = new ProxyError('PGR_CONNECT_REFUSED')
    assert.equal(error.source, 'upstream')
    assert.equal(error.status, 502)
    assert.equal(error.message, 'connection refused')
    assert.equal(error.retry, 'no')
    assert.equal(error.context, '')
    assert.equal(error.name, 'ProxyError')
    assert.equal('cause' in error, false)
  })

  test('keeps what the caller says instead', () => {
    const cause = new Error('inner')
    const options = { cause, status: 418, retry: 'if-reused', context: 'peer 10.0.0.1:80' } as const
    const error = new ProxyError('PGR_UPSTREAM_CLOSED', 'gone', options)
    assert.equal(error.message, 'gone')
    assert.equal(error.cause, cause)
    assert.equal(error.status, 418)
    assert.equal(error.retry, 'if-reused')
    assert.equal(error.context, 'peer 10.0.0.1:80')
  })

  test('keeps a cause of undefined apart from no cause', () => {
    assert.equal('cause' in new ProxyError('PGR_INTERNAL', 'x', { cause: undefined }), true)
  })

  test('answers with any status when a hook asks', () => {
    const error = ProxyError.httpStatus(403)
    assert.equal(error.code, 'PGR_HTTP_STATUS')
    assert.equal(error.status, 403)
    assert.equal(error.message, 'status 403')
    assert.equal(ProxyError.httpStatus(429, 'slow down').message, 'slow down')
  })
})

describe('toProxyError', () => {
  test('passes a ProxyError unchanged', () => {
    const error = new ProxyError('PGR_NO_PEER')
    assert.equal(toProxyError(error, 'PGR_INTERNAL'), error)
  })

  test('wraps anything else, with the thrown value as cause', () => {
    const thrown: readonly unknown[] = [
      new TypeError('no'),
      'text',
      undefined,
      null,
      7,
      Symbol('s'),
    ]
    for (const value of thrown) {
      const error = toProxyError(value, 'PGR_HOOK_FAILED')
      assert.equal(error.code, 'PGR_HOOK_FAILED')
      assert.equal(error.cause, value)
    }
  })
})

describe('describeThrown', () => {
  test('has a text for whatever can be thrown', () => {
    assert.equal(describeThrown(new Error('boom')), 'boom')
    assert.equal(describeThrown('text'), 'text')
    assert.equal(describeThrown(undefined), 'undefined')
    assert.equal(describeThrown(Symbol('s')), 'Symbol(s)')
    assert.equal(describeThrown(Object.create(null)), 'a value that has no text')
  })
})

describe('causedBy and rootCause', () => {
  test('walk from the outermost error to the innermost', () => {
    const inner = new Error('ECONNRESET')
    const middle = new ProxyError('PGR_UPSTREAM_READ_FAILED', undefined, { cause: inner })
    const outer = new Error('outer', { cause: middle })
    assert.equal(causedBy(outer, 'PGR_UPSTREAM_READ_FAILED'), true)
    assert.equal(causedBy(outer, 'PGR_INTERNAL'), false)
    assert.equal(rootCause(outer), inner)
    assert.equal(rootCause(inner), inner)
    assert.equal(rootCause('thrown text'), 'thrown text')
  })

  test('end on a chain that is a cycle', () => {
    const error = new Error('a')
    error.cause = new Error('b', { cause: error })
    assert.equal(causedBy(error, 'PGR_INTERNAL'), false)
    assert.ok(rootCause(error) instanceof Error)
  })
})
