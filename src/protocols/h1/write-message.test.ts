/** Written messages: their exact bytes, and that reading them gives the same message back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeRequests, decodeResponses } from '../../../test/helpers/decode-stream.js'
import { bytes } from '../../../test/helpers/splits.js'
import { HeaderMap, RequestHeader, ResponseHeader } from '../../http/index.js'
import {
  CHUNKED,
  CHUNK_END,
  UNTIL_CLOSE,
  chunkStart,
  declaredLength,
  lastChunk,
  writeRequestHead,
  writeResponseHead,
} from './index.js'

describe('writeRequestHead', () => {
  const request = (): RequestHeader => {
    const header = new RequestHeader('GET', '/a?b=\xff', '1.0')
    header.insertHeader('hOST', 'h')
    header.insertHeader('X-A', '\x80')
    return header
  }

  test('speaks HTTP/1.1 whatever the client spoke (RFC 9110 §2.5), and keeps every byte', () => {
    const text = 'GET /a?b=\xff HTTP/1.1\r\nhOST: h\r\nX-A: \x80\r\n\r\n'
    assert.equal(writeRequestHead(request(), 0, 'default'), text)
  })

  test('says how the body is framed and how the connection goes on', () => {
    const end = (length: number, connection: 'default' | 'keep-alive' | 'close'): string =>
      writeRequestHead(request(), length, connection).split('X-A: \x80\r\n')[1]!
    assert.equal(end(CHUNKED, 'default'), 'Transfer-Encoding: chunked\r\n\r\n')
    assert.equal(end(CHUNKED, 'close'), 'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
    assert.equal(end(0, 'close'), 'Connection: close\r\n\r\n')
    assert.equal(end(5, 'keep-alive'), 'Connection: keep-alive\r\n\r\n')
  })

  test('is read back as what was written', () => {
    const text = writeRequestHead(request(), CHUNKED, 'close') + lastChunk(null)
    const { messages, error } = decodeRequests([bytes(text)])
    assert.equal(error, null)
    const { header, bodyLength, keepAlive } = messages[0]!.head
    assert.equal(header.headers.toLines(), request().headers.toLines())
    assert.deepEqual([bodyLength, keepAlive], [CHUNKED, false])
  })
})

describe('writeResponseHead', () => {
  test('speaks HTTP/1.1 (RFC 9112 §2.3), with a reason or none', () => {
    const header = new ResponseHeader(404, 'N\xf6', '1.0')
    assert.equal(writeResponseHead(header, 0, 'default'), 'HTTP/1.1 404 N\xf6\r\n\r\n')
    header.reason = ''
    assert.equal(writeResponseHead(header, 0, 'default'), 'HTTP/1.1 404 \r\n\r\n')
  })

  test('closes when only the close ends the body', () => {
    const text = writeResponseHead(new ResponseHeader(200), UNTIL_CLOSE, 'keep-alive')
    assert.equal(text, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
    const { messages } = decodeResponses([bytes(`${text}body`)], ['GET'], { ended: true })
    assert.equal(messages[0]?.body, 'body')
  })
})

describe('chunks', () => {
  test('have sizes in hexadecimal', () => {
    assert.equal(chunkStart(1), '1\r\n')
    assert.equal(chunkStart(255), 'ff\r\n')
    assert.equal(chunkStart(65_536), '10000\r\n')
    assert.equal(CHUNK_END, '\r\n')
  })

  test('end with the trailers', () => {
    assert.equal(lastChunk(null), '0\r\n\r\n')
    assert.equal(lastChunk(new HeaderMap()), '0\r\n\r\n')
    const trailers = new HeaderMap()
    trailers.append('X-A', '1')
    trailers.append('x-a', '2')
    assert.equal(lastChunk(trailers), '0\r\nX-A: 1\r\nx-a: 2\r\n\r\n')
  })
})

describe('declaredLength', () => {
  const lengthOf = (...values: readonly string[]): number => {
    const headers = new HeaderMap()
    for (const value of values) headers.append('Content-Length', value)
    return declaredLength(headers, CHUNKED)
  }

  test('is what Content-Length says, else what the caller says', () => {
    assert.equal(lengthOf('0'), 0)
    assert.equal(lengthOf('9007199254740991'), Number.MAX_SAFE_INTEGER)
    assert.equal(lengthOf(), CHUNKED)
  })

  test('refuses what a hook wrote that is no length', () => {
    for (const value of [
      '',
      '-1',
      '+1',
      '1.5',
      '1e3',
      '0x1',
      'a',
      '1, 1',
      ' 1',
      '9007199254740992',
    ]) {
      assert.throws(() => lengthOf(value), { code: 'PGR_BODY_LENGTH_MISMATCH' }, value)
    }
  })
})
