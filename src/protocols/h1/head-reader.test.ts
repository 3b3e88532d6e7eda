/** Heads that come whole, in pieces, one behind the other, or not at all. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bytes, forEachSplit } from '../../../test/helpers/splits.js'
import { HeadReader, REQUEST_LIMITS, parseRequestHead, requestSectionLimits } from './index.js'
import type { RequestHead, RequestLimits } from './index.js'

const HEAD = 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n'

function readerOf(limits: RequestLimits = REQUEST_LIMITS): HeadReader<RequestHead> {
  return new HeadReader(requestSectionLimits(limits), (buffer, start, to) =>
    parseRequestHead(buffer, start, to, limits.maxHeaders),
  )
}

describe('HeadReader', () => {
  test('takes a head and nothing behind it', () => {
    const reader = readerOf()
    const input = bytes(`${HEAD}${HEAD}rest`)
    assert.equal(reader.read(input, 0, input.length)?.header.target, '/a')
    assert.equal(reader.next, HEAD.length)
    assert.equal(reader.read(input, reader.next, input.length)?.header.target, '/a')
    assert.equal(reader.next, 2 * HEAD.length)
  })

  test('gathers a head from pieces, at every split', () => {
    forEachSplit(bytes(HEAD), (cut, how) => {
      const pieces = cut.filter(({ length }) => length > 0)
      const reader = readerOf()
      const heads = pieces.map((piece) => reader.read(piece, 0, piece.length))
      assert.deepEqual(heads.slice(0, -1).filter(Boolean), [], how)
      assert.equal(heads.at(-1)?.header.target, '/a', how)
      assert.equal(reader.begun, false)
    })
  })

  test('says whether a head has begun', () => {
    const reader = readerOf()
    assert.equal(reader.begun, false)
    assert.equal(reader.read(bytes('\r\n'), 0, 2), null)
    assert.equal(reader.begun, false)
    assert.equal(reader.read(bytes('GET'), 0, 3), null)
    assert.equal(reader.begun, true)
  })

  test('finds a fault when the head is complete, with the same code for every split', () => {
    const faulty = 'GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n'
    forEachSplit(bytes(faulty), (cut, how) => {
      const pieces = cut.filter(({ length }) => length > 0)
      const reader = readerOf()
      for (const piece of pieces.slice(0, -1))
        assert.equal(reader.read(piece, 0, piece.length), null)
      const last = pieces.at(-1)!
      const readLast = (): unknown => reader.read(last, 0, last.length)
      assert.throws(readLast, { code: 'PGR_REQUEST_INVALID' }, how)
    })
  })

  test('keeps to limits that are smaller than one look', () => {
    const limits = { maxRequestLineBytes: 20, maxHeaderBytes: 30, maxHeaders: 128 }
    const read = (text: string): unknown => readerOf(limits).read(bytes(text), 0, text.length)
    assert.notEqual(read(HEAD), null)
    const longLine = HEAD.replace('/a', `/${'a'.repeat(10)}`)
    assert.throws(() => read(longLine), { code: 'PGR_TARGET_TOO_LONG' })
    const longFields = HEAD.replace('\r\n\r\n', `\r\nX: ${'x'.repeat(20)}\r\n\r\n`)
    assert.throws(() => read(longFields), { code: 'PGR_HEADER_TOO_LARGE' })
  })

  test('takes heads that are longer than one look', () => {
    const long = HEAD.replace('\r\n\r\n', `\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`)
    const reader = readerOf()
    assert.equal(reader.read(bytes(long), 0, long.length)?.header.headers.size, 2)
    assert.equal(reader.next, long.length)
  })
})
