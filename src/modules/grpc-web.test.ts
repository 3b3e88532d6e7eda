import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import { GrpcWeb } from './index.js'

const TRAILERS = new HeaderMap()
TRAILERS.append('grpc-status', '0')
const TRAILERS_FRAME = Buffer.from('\x80\x00\x00\x00\x0fgrpc-status:0\r\n', 'latin1')

/** A module that has seen the head of a request. */
function begun(
  type: string | undefined,
  accept?: string,
): { module: GrpcWeb; request: RequestHeader } {
  const request = new RequestHeader('POST', '/a.B/C', '1.1')
  if (type !== undefined) request.insertHeader('Content-Type', type)
  if (accept !== undefined) request.insertHeader('Accept', accept)
  request.insertHeader('Content-Length', '8')
  const module = new GrpcWeb()
  module.requestHeaderFilter(request)
  return { module, request }
}

function answer(module: GrpcWeb, type: string): ResponseHeader {
  const response = new ResponseHeader(200)
  response.insertHeader('Content-Type', type)
  response.insertHeader('Content-Length', '5')
  module.responseHeaderFilter(response)
  return response
}

describe('GrpcWeb', () => {
  test('makes a binary request one of gRPC, and its trailers a frame', () => {
    const { module, request } = begun('application/grpc-web+proto')
    assert.deepEqual(
      [...request.headers],
      [
        ['Content-Type', 'application/grpc+proto'],
        ['Content-Length', '8'],
        ['TE', 'trailers'],
      ],
    )
    assert.equal(module.requestBodyFilter(Buffer.from('x')), undefined)
    const response = answer(module, 'application/grpc+proto')
    assert.deepEqual([...response.headers], [['Content-Type', 'application/grpc-web+proto']])
    const piece = Buffer.from([0, 0, 0, 0, 0])
    assert.deepEqual(module.responseBodyFilter(piece), piece)
    assert.deepEqual(module.responseTrailerFilter(TRAILERS), TRAILERS_FRAME)
  })

  test('decodes a text request, and encodes each piece by itself', () => {
    const { module, request } = begun('application/grpc-web-text')
    assert.equal(request.getHeader('content-length'), undefined)
    assert.equal(request.getHeader('content-type'), 'application/grpc')
    assert.equal(String(module.requestBodyFilter(Buffer.from('QU'))), '')
    assert.equal(String(module.requestBodyFilter(Buffer.from('I='))), 'AB')
    assert.equal(module.requestBodyFilter(undefined), undefined)
    const response = answer(module, 'application/grpc')
    assert.equal(response.getHeader('content-type'), 'application/grpc-web-text')
    assert.equal(String(module.responseBodyFilter(Buffer.from('A'))), 'QQ==')
    assert.equal(String(module.responseTrailerFilter(TRAILERS)), TRAILERS_FRAME.toString('base64'))
  })

  test('refuses text that is cut, or no base64', () => {
    const { module } = begun('application/grpc-web-text')
    module.requestBodyFilter(Buffer.from('QU'))
    assert.throws(() => module.requestBodyFilter(undefined), { code: 'PGR_REQUEST_BODY_INVALID' })
    const other = begun('application/grpc-web-text').module
    assert.throws(() => other.requestBodyFilter(Buffer.from('{"a":1}')), {
      code: 'PGR_REQUEST_BODY_INVALID',
    })
  })

  test('answers a binary request in text when that is what it accepts', () => {
    const { module } = begun('application/grpc-web', 'Application/grpc-web-text')
    assert.equal(module.requestBodyFilter(Buffer.from('QQ==')), undefined)
    const response = answer(module, 'application/grpc')
    assert.equal(response.getHeader('content-type'), 'application/grpc-web-text')
  })

  test('leaves an answer alone that is not of gRPC', () => {
    const { module } = begun('application/grpc-web-text')
    const response = answer(module, 'text/html')
    assert.equal(response.getHeader('content-length'), '5')
    assert.equal(response.getHeader('content-type'), 'text/html')
    assert.equal(module.responseBodyFilter(Buffer.from('<p>')), undefined)
    assert.equal(module.responseTrailerFilter(TRAILERS), undefined)
  })

  for (const type of ['application/grpc', 'application/json', undefined]) {
    test(`leaves a request alone with ${type ?? 'no type'}, and its answer`, () => {
      const { module, request } = begun(type)
      assert.equal(request.getHeader('content-type'), type)
      assert.equal(request.getHeader('te'), undefined)
      assert.equal(module.requestBodyFilter(Buffer.from('!')), undefined)
      const response = answer(module, 'application/grpc')
      assert.equal(response.getHeader('content-type'), 'application/grpc')
      assert.equal(module.responseBodyFilter(Buffer.from('x')), undefined)
      assert.equal(module.responseTrailerFilter(TRAILERS), undefined)
    })
  }

  test('does nothing when it is told so', () => {
    const module = new GrpcWeb()
    module.enabled = false
    const request = new RequestHeader('POST', '/', '1.1')
    request.insertHeader('content-type', 'application/grpc-web')
    module.requestHeaderFilter(request)
    assert.equal(request.getHeader('content-type'), 'application/grpc-web')
  })
})
