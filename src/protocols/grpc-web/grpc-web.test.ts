import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../error/index.js'
import { HeaderMap } from '../../http/index.js'
import { bytes, cutAt, forEachSplit } from '../../../test/helpers/splits.js'
import {
  Base64Decoder,
  encodeTrailersFrame,
  grpcTypeOf,
  isGrpcType,
  readGrpcWebType,
  webTypeOf,
} from './index.js'

/** What a decoder makes of pieces; the code of its error when they are no base64. */
function decoded(pieces: readonly Uint8Array[]): string {
  const decoder = new Base64Decoder()
  try {
    const parts = pieces.map((piece) => decoder.decode(piece))
    decoder.end()
    return Buffer.concat(parts).toString('hex')
  } catch (thrown) {
    assert.ok(thrown instanceof ProxyError)
    return thrown.code
  }
}

describe('Base64Decoder', () => {
  for (const [text, expected] of [
    ['', ''],
    ['AAAAAAA=', '0000000000'],
    ['QQ==', '41'],
    ['QUI=', '4142'],
    ['QUJD', '414243'],
    ['QUJDRA==RUY=R0hJ', '414243444546474849'],
    ['QQ==QQ==', '4141'],
    ['+/+/', 'fbffbf'],
    ['////', 'ffffff'],
  ] as const) {
    test(`decodes "${text}", wherever it is cut`, () => {
      forEachSplit(bytes(text), (pieces, how) => {
        assert.equal(decoded(pieces), expected, how)
      })
    })
  }

  for (const text of [
    'Q',
    'QQ',
    'QUI',
    'QUJDQ',
    '=',
    'Q=',
    'Q===',
    '====',
    'QQ=',
    'QQ=A',
    'QUJD=',
    'QU-_',
    'QUJD\n',
    'QU JD',
    'Q\x00JD',
    'QUJ\xff',
  ]) {
    test(`refuses ${JSON.stringify(text)}, wherever it is cut`, () => {
      forEachSplit(bytes(text), (pieces, how) => {
        assert.equal(decoded(pieces), 'PGR_REQUEST_BODY_INVALID', how)
      })
    })
  }

  test('gives back what was encoded, in whatever pieces', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 5 })
    const cuts = fc.array(fc.nat(400), { maxLength: 8 })
    fc.assert(
      fc.property(messages, cuts, (parts, places) => {
        const text = parts.map((part) => Buffer.from(part).toString('base64')).join('')
        assert.equal(decoded(cutAt(bytes(text), places)), Buffer.concat(parts).toString('hex'))
      }),
    )
  })

  test('says of any bytes the same, wherever they are cut', () => {
    const nearBase64 = fc.array(fc.constantFrom(...bytes('AQz09+/=\n\xff')), { maxLength: 30 })
    fc.assert(
      fc.property(nearBase64, fc.array(fc.nat(30), { maxLength: 6 }), (codes, places) => {
        const input = Buffer.from(codes)
        assert.equal(decoded(cutAt(input, places)), decoded([input]))
      }),
    )
  })
})

describe('readGrpcWebType', () => {
  for (const [type, isText, grpc] of [
    ['application/grpc-web', false, 'application/grpc'],
    ['application/grpc-web+proto', false, 'application/grpc+proto'],
    ['Application/gRPC-Web+JSON', false, 'application/grpc+JSON'],
    ['application/grpc-web-text', true, 'application/grpc'],
    ['APPLICATION/GRPC-WEB-TEXT+proto; a=b', true, 'application/grpc+proto; a=b'],
    ['application/grpc-web;charset=utf-8', false, 'application/grpc;charset=utf-8'],
  ] as const) {
    test(`${type} stands for ${grpc}`, () => {
      const read = readGrpcWebType(type)
      assert.equal(read?.isText, isText)
      assert.equal(grpcTypeOf(read), grpc)
    })
  }

  for (const type of [
    undefined,
    '',
    'application/grpc',
    'application/grpc+proto',
    'application/grpc-webs',
    'application/grpc-web-textual',
    'text/application/grpc-web',
  ]) {
    test(`${type ?? 'none'} is another`, () => {
      assert.equal(readGrpcWebType(type), null)
    })
  }
})

describe('webTypeOf', () => {
  for (const [type, binary, text] of [
    ['application/grpc', 'application/grpc-web', 'application/grpc-web-text'],
    ['application/grpc+proto', 'application/grpc-web+proto', 'application/grpc-web-text+proto'],
    ['Application/GRPC', 'application/grpc-web', 'application/grpc-web-text'],
    ['application/grpc-web', null, null],
    ['text/html', null, null],
    [undefined, null, null],
  ] as const) {
    test(`of ${type ?? 'none'} is ${binary ?? 'none'}`, () => {
      assert.equal(webTypeOf(type, false), binary)
      assert.equal(webTypeOf(type, true), text)
    })
  }
})

describe('encodeTrailersFrame', () => {
  test('is lines of HTTP/1 with names in lower case, behind their length', () => {
    const trailers = new HeaderMap()
    trailers.append('Grpc-Status', '5')
    trailers.append('x-a', 'n\xf6')
    trailers.append('x-a', '')
    const lines = 'grpc-status:5\r\nx-a:n\xf6\r\nx-a:\r\n'
    const head = bytes(`\x80\x00\x00\x00${String.fromCharCode(lines.length)}`)
    assert.deepEqual(encodeTrailersFrame(trailers), Buffer.concat([head, bytes(lines)]))
  })
})

describe('isGrpcType', () => {
  for (const [type, expected] of [
    ['application/grpc', true],
    ['Application/GRPC+proto', true],
    ['application/grpc;charset=utf-8', true],
    ['application/grpc-web', false],
    ['application/grpc-web-text+proto', false],
    ['application/grpcx', false],
    ['text/plain', false],
    [undefined, false],
  ] as const) {
    test(`${type ?? 'no type'}: ${expected}`, () => {
      assert.equal(isGrpcType(type), expected)
    })
  }
})
