/** Requests become the bytes that their description says. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeRequest } from './test-request.js'
import type { TestRequest } from './test-request.js'

/** Each write of a request as text. */
function writes(request: TestRequest): string[] {
  const { first, rest } = encodeRequest(request)
  return [first, ...rest].map((bytes) => bytes.toString('latin1'))
}

describe('a request without a body', () => {
  test('is a GET of the root when nothing is said', () => {
    assert.deepEqual(writes({}), ['GET / HTTP/1.1\r\nHost: test.example\r\n\r\n'])
  })

  test('has the method, target, version and fields that are given, in order', () => {
    const request: TestRequest = {
      method: 'OPTIONS',
      path: '*',
      version: '1.0',
      headers: [
        ['X-A', '1'],
        ['host', 'other.example'],
        ['X-A', '\xff'],
      ],
    }
    assert.deepEqual(writes(request), [
      'OPTIONS * HTTP/1.0\r\nX-A: 1\r\nhost: other.example\r\nX-A: \xff\r\n\r\n',
    ])
  })
})

describe('a request with a body', () => {
  test('says its length and leaves in one write', () => {
    assert.deepEqual(writes({ method: 'POST', headers: { Host: 'a' }, body: 'ü' }), [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\xc3\xbc',
    ])
  })

  test('says a length of zero for a body that is empty', () => {
    assert.deepEqual(writes({ method: 'PUT', headers: { Host: 'a' }, body: '' }), [
      'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    ])
  })

  test('is chunked when it is a list, one write per element that is not empty', () => {
    const body = ['ab', '', Buffer.from('0123456789abcdef')]
    assert.deepEqual(writes({ headers: { Host: 'a' }, body }), [
      'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
      '2\r\nab\r\n',
      '10\r\n0123456789abcdef\r\n0\r\n\r\n',
    ])
  })

  test('ends all the same when the list is empty', () => {
    assert.equal(writes({ body: [] })[1], '0\r\n\r\n')
  })

  test('is chunked when it has trailers', () => {
    assert.deepEqual(writes({ headers: { Host: 'a' }, body: 'x', trailers: { 'X-Sum': '1' } }), [
      'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n',
    ])
  })

  test('keeps the framing that its fields say', () => {
    const headers = { Host: 'a', 'Content-Length': '9' }
    assert.deepEqual(writes({ headers, body: ['ab', 'c'] }), [
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n',
      'ab',
      'c',
    ])
    assert.match(
      writes({ headers: { 'transfer-encoding': 'chunked' }, body: 'x' })[0] ?? '',
      /1\r\nx/,
    )
  })

  test('asks for the upgrade that it names', () => {
    assert.deepEqual(writes({ headers: { Host: 'a' }, upgrade: 'websocket' }), [
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    ])
  })

  test('waits behind the head for the 100 that is asked for', () => {
    assert.deepEqual(writes({ headers: { Host: 'a' }, body: 'x', expectContinue: true }), [
      'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
      'x',
    ])
  })
})

describe('raw bytes', () => {
  test('leave as they are, and their first word is the method', () => {
    assert.deepEqual(writes({ raw: 'HEAD /\xff\n' }), ['HEAD /\xff\n'])
    assert.equal(encodeRequest({ raw: 'HEAD / HTTP/1.1\r\n\r\n' }).method, 'HEAD')
    assert.equal(encodeRequest({ raw: Buffer.alloc(0) }).method, 'GET')
  })
})
