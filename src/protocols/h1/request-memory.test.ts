/** A head that is remembered means what it means to a parser that remembers nothing. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { toProxyError } from '../../error/index.js'
import { bytes } from '../../../test/helpers/splits.js'
import { RequestMemory, parseRequestHead } from './index.js'

/** What the head in `text` says, as plain values, or the code of its refusal. */
function read(text: string, memory: RequestMemory | null): unknown {
  // The head starts somewhere else each time, as pipelined ones do.
  const before = '#'.repeat(text.length % 7)
  const buffer = bytes(before + text)
  try {
    const head = parseRequestHead(buffer, before.length, buffer.length, 8, memory)
    if (head === null) return null
    const { header, end, ...facts } = head
    const { method, target, version, headers } = header
    const known = [headers.contentLength, headers.hasDate, headers.host]
    const lines = headers.toLines()
    const seen = { method, target, version, known, lines, end: end - before.length, ...facts }
    // What a hook does to this head must not be seen in the next one.
    headers.set('Host', 'changed')
    headers.append('X-New', '1')
    return { ...seen, changed: headers.toLines() }
  } catch (thrown) {
    return toProxyError(thrown, 'PGR_INTERNAL').code
  }
}

const STARTS = [
  'GET /a',
  'GET /b?c',
  'POST /a',
  'GET http://a.test/x',
  'CONNECT a.test:80',
  'CONNECT /',
  'GET *',
  'OPTIONS *',
]
const RESTS = [
  ' HTTP/1.1\r\nHost: h.test\r\n\r\n',
  ' HTTP/1.0\r\nHost: h.test\r\n\r\n',
  ' HTTP/1.0\r\n\r\n',
  ' HTTP/1.1\r\n\r\n',
  ' HTTP/1.1\r\nHost: h.test\r\nHost: h.test\r\n\r\n',
  ' HTTP/1.1\r\nHost:h.test \r\nX-A: 1\r\nConnection: close, X-A\r\n\r\n',
  ' HTTP/1.1\r\nX-A: 1\r\nhOST: other.test:8080\r\nTE: trailers\r\nConnection: TE\r\n\r\n',
  ' HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\nDate: d\r\n\r\n',
  ' HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
  ' HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n',
  ' HTTP/1.0\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n',
  ' HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
  ` HTTP/1.1\r\nHost: h.test\r\nX-Long: ${'x'.repeat(4_000)}\r\n\r\n`,
  ` HTTP/1.1\r\nHost: h.test\r\n${'X: y\r\n'.repeat(8)}\r\n`,
]

describe('RequestMemory', () => {
  test('changes nothing in what a sequence of heads says', () => {
    const after = fc.constantFrom('', '', '', 'hello', 'GET / HTTP/1.1\r\n')
    const head = fc.tuple(fc.constantFrom(...STARTS), fc.constantFrom(...RESTS), after)
    // Few different heads in a sequence, so that many are the same as the one before.
    const sequence = fc
      .array(head, { minLength: 1, maxLength: 4 })
      .chain((few) => fc.array(fc.constantFrom(...few), { maxLength: 20 }))
    const agrees = fc.property(sequence, (heads) => {
      const memory = new RequestMemory()
      for (const parts of heads) {
        const text = parts.join('')
        assert.deepEqual(read(text, memory), read(text, null), JSON.stringify(text))
      }
    })
    fc.assert(agrees, { numRuns: 2_000 })
  })

  test('remembers a head that stands alone, and no longer one than it may keep', () => {
    const rest = ' HTTP/1.1\r\nHost: h.test\r\n\r\n'
    const memory = new RequestMemory()
    read(`GET /a${rest}hello`, memory)
    assert.equal(memory.recall(rest, 0), null)
    read(`GET /a${rest}`, memory)
    assert.equal(memory.recall(rest, 0)?.host, 'h.test')
    assert.equal(memory.recall(rest, 0)?.buffer.length, 0)
    const long = ` HTTP/1.1\r\nHost: h.test\r\nX-Long: ${'x'.repeat(2_048)}\r\n\r\n`
    read(`GET /a${long}`, memory)
    assert.equal(memory.recall(long, 0), null)
    assert.equal(memory.recall('', 0), null)
  })
})
