import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { grpcResponse } from './grpc-response.js'

describe('grpcResponse', () => {
  test('has the code that clients make of the status, and no body', () => {
    const { header, body } = grpcResponse(503, '503 Service Unavailable', false)
    assert.equal(header.status, 200)
    assert.deepEqual(
      [...header.headers],
      [
        ['Content-Type', 'application/grpc'],
        ['grpc-status', '14'],
        ['grpc-message', '503 Service Unavailable'],
      ],
    )
    assert.equal(body.length, 0)
  })

  for (const [status, code] of [
    [400, '13'],
    [401, '16'],
    [403, '7'],
    [404, '12'],
    [429, '14'],
    [500, '2'],
    [502, '14'],
    [504, '14'],
  ] as const) {
    test(`${status} is ${code}`, () => {
      assert.equal(grpcResponse(status, '', false).header.headers.get('grpc-status'), code)
    })
  }

  test('says of what came too late that it may have been done', () => {
    assert.equal(grpcResponse(504, '', true).header.headers.get('grpc-status'), '4')
  })

  test('encodes what cannot stand in a field', () => {
    const { header } = grpcResponse(500, 'nö 100%\r\n', false)
    assert.equal(header.headers.get('grpc-message'), 'n%C3%B6 100%25%0D%0A')
  })
})
