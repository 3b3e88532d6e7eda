/** The limits of heads, chunk lines and trailers, to the byte, whole and in pieces. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeRequests, decodeResponses } from '../../../test/helpers/decode-stream.js'
import { bytes, cutEvery } from '../../../test/helpers/splits.js'

/** The result of a request, the same for reads of several sizes. */
function errorOf(text: string): string | null {
  const input = bytes(text)
  const whole = decodeRequests([input]).error
  for (const size of [1, 7, 1_000, 16_384, 65_536]) {
    assert.equal(decodeRequests(cutEvery(input, size)).error, whole, `reads of ${size} bytes`)
  }
  return whole
}

const HEAD = 'GET / HTTP/1.1\r\n'
const CHUNKED_HEAD = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n'

function requestLine(length: number): string {
  const rest = 'GET / HTTP/1.1'.length
  return `GET /${'a'.repeat(length - rest)} HTTP/1.1`
}

describe('the request line', () => {
  test('may have 16384 bytes, its CRLF not counted', () => {
    assert.equal(errorOf(`${requestLine(16_384)}\r\nHost: h\r\n\r\n`), null)
    assert.equal(errorOf(`${requestLine(16_385)}\r\nHost: h\r\n\r\n`), 'PGR_TARGET_TOO_LONG')
  })

  test('is refused before it ends', () => {
    assert.equal(errorOf('a'.repeat(16_384)), null)
    assert.equal(errorOf(`GET /${'a'.repeat(16_384)}`), 'PGR_TARGET_TOO_LONG')
    assert.equal(errorOf('a'.repeat(200_000)), 'PGR_TARGET_TOO_LONG')
  })

  test('has the limit that is given', () => {
    const limits = { maxRequestLineBytes: 14, maxHeaderBytes: 100, maxHeaders: 2 }
    const decode = (text: string) => decodeRequests([bytes(text)], { limits }).error
    assert.equal(decode('GET / HTTP/1.1\r\nHost: h\r\n\r\n'), null)
    assert.equal(decode('GET /a HTTP/1.1\r\nHost: h\r\n\r\n'), 'PGR_TARGET_TOO_LONG')
    assert.equal(decode('GET / HTTP/1.1\r\nHost: h\r\na: b\r\n\r\n'), null)
    assert.equal(
      decode('GET / HTTP/1.1\r\nHost: h\r\na: b\r\nc: d\r\n\r\n'),
      'PGR_HEADER_TOO_LARGE',
    )
    assert.equal(
      decode(`GET / HTTP/1.1\r\nHost: h\r\na: ${'b'.repeat(100)}\r\n\r\n`),
      'PGR_HEADER_TOO_LARGE',
    )
  })
})

describe('the header section', () => {
  /** All field lines and the empty line, `length` bytes in all. */
  const section = (length: number): string => {
    const rest = 'Host: h\r\nX-A: \r\n\r\n'.length
    return `Host: h\r\nX-A: ${'a'.repeat(length - rest)}\r\n\r\n`
  }

  test('may have 65536 bytes, its empty line counted', () => {
    assert.equal(errorOf(HEAD + section(65_536)), null)
    assert.equal(errorOf(HEAD + section(65_537)), 'PGR_HEADER_TOO_LARGE')
    assert.equal(errorOf(`${requestLine(16_384)}\r\n${section(65_536)}`), null)
    assert.equal(errorOf(`${requestLine(16_384)}\r\n${section(65_537)}`), 'PGR_HEADER_TOO_LARGE')
  })

  test('is refused before it ends, in a name as in a value', () => {
    assert.equal(errorOf(`${HEAD}X-A: ${'a'.repeat(65_531)}`), null)
    assert.equal(errorOf(`${HEAD}X-A: ${'a'.repeat(65_532)}`), 'PGR_HEADER_TOO_LARGE')
    assert.equal(errorOf(HEAD + 'a'.repeat(65_537)), 'PGR_HEADER_TOO_LARGE')
    assert.equal(errorOf(HEAD + 'a: b\r\n'.repeat(20_000)), 'PGR_HEADER_TOO_LARGE')
  })

  test('may have 128 fields', () => {
    const fields = (count: number): string => 'a: b\r\n'.repeat(count)
    assert.equal(errorOf(`${HEAD}Host: h\r\n${fields(127)}\r\n`), null)
    assert.equal(errorOf(`${HEAD}Host: h\r\n${fields(128)}\r\n`), 'PGR_HEADER_TOO_LARGE')
  })

  test('counts fields that do not reach the map', () => {
    assert.equal(
      errorOf(`${HEAD}Host: h\r\n${'Keep-Alive: b\r\n'.repeat(128)}\r\n`),
      'PGR_HEADER_TOO_LARGE',
    )
  })

  test('of a response has the same limits', () => {
    const decode = (text: string): string | null => {
      const input = bytes(text)
      const whole = decodeResponses([input]).error
      assert.equal(decodeResponses(cutEvery(input, 1)).error, whole)
      return whole
    }
    const status = 'HTTP/1.1 204 '
    assert.equal(decode(`${status}${'a'.repeat(16_384 - status.length)}\r\n\r\n`), null)
    assert.equal(
      decode(`${status}${'a'.repeat(16_385 - status.length)}\r\n\r\n`),
      'PGR_RESPONSE_TOO_LARGE',
    )
    assert.equal(decode(`${status}\r\n${section(65_536)}`), null)
    assert.equal(decode(`${status}\r\n${section(65_537)}`), 'PGR_RESPONSE_TOO_LARGE')
    assert.equal(decode(`${status}\r\n${'a: b\r\n'.repeat(128)}\r\n`), null)
    assert.equal(decode(`${status}\r\n${'a: b\r\n'.repeat(129)}\r\n`), 'PGR_RESPONSE_TOO_LARGE')
  })
})

describe('a chunk line', () => {
  test('may have 4096 bytes, its CRLF not counted', () => {
    const line = (length: number, size: string): string =>
      `${size};${'e'.repeat(length - size.length - 1)}\r\n`
    for (const size of ['1', '0000000000001']) {
      assert.equal(errorOf(`${CHUNKED_HEAD}${line(4_096, size)}a\r\n0\r\n\r\n`), null)
      assert.equal(
        errorOf(`${CHUNKED_HEAD}${line(4_097, size)}a\r\n0\r\n\r\n`),
        'PGR_REQUEST_BODY_INVALID',
      )
    }
    assert.equal(errorOf(`${CHUNKED_HEAD}${line(4_097, '0')}\r\n`), 'PGR_REQUEST_BODY_INVALID')
  })

  test('is refused before it ends', () => {
    assert.equal(errorOf(`${CHUNKED_HEAD}5;${'a'.repeat(4_094)}`), null)
    assert.equal(errorOf(`${CHUNKED_HEAD}5;${'a'.repeat(4_095)}`), 'PGR_REQUEST_BODY_INVALID')
  })

  test('may have 13 digits: no size is more than a number can say exactly', () => {
    assert.equal(errorOf(`${CHUNKED_HEAD}fffffffffffff\r\n`), null)
    assert.equal(errorOf(`${CHUNKED_HEAD}10000000000000\r\n`), 'PGR_REQUEST_BODY_INVALID')
    assert.equal(errorOf(`${CHUNKED_HEAD}00000000000000\r\n`), 'PGR_REQUEST_BODY_INVALID')
  })
})

describe('the trailer section', () => {
  const trailers = (length: number): string => `X-T: ${'t'.repeat(length - 9)}\r\n\r\n`

  test('may have 16384 bytes, its empty line counted', () => {
    assert.equal(errorOf(`${CHUNKED_HEAD}0\r\n${trailers(16_384)}`), null)
    assert.equal(errorOf(`${CHUNKED_HEAD}0\r\n${trailers(16_385)}`), 'PGR_REQUEST_BODY_INVALID')
  })

  test('is refused before it ends', () => {
    assert.equal(errorOf(`${CHUNKED_HEAD}0\r\n${'t'.repeat(16_384)}`), null)
    assert.equal(errorOf(`${CHUNKED_HEAD}0\r\n${'t'.repeat(16_385)}`), 'PGR_REQUEST_BODY_INVALID')
  })

  test('may have 128 fields', () => {
    assert.equal(errorOf(`${CHUNKED_HEAD}0\r\n${'a: b\r\n'.repeat(128)}\r\n`), null)
    assert.equal(
      errorOf(`${CHUNKED_HEAD}0\r\n${'a: b\r\n'.repeat(129)}\r\n`),
      'PGR_REQUEST_BODY_INVALID',
    )
  })
})
