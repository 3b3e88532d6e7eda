/** A head that is remembered means what it means to a parser that remembers nothing. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { toProxyError } from '../../error/index.js'
import { bytes } from '../../../test/helpers/splits.js'
import { HeadMemory, parseRequestHead, parseResponseHead } from './index.js'
import type { RequestHead, ResponseHead } from './index.js'

/** Reads the head in `buffer[start, to)`. */
type Parse = (
  buffer: Buffer,
  start: number,
  to: number,
  memory: HeadMemory | null,
) => RequestHead | ResponseHead | null

/** What the head in `text` says, as plain values, or the code of its refusal. */
function read(text: string, parse: Parse, memory: HeadMemory | null): unknown {
  // The head starts somewhere else each time, as pipelined ones do.
  const before = '#'.repeat(text.length % 7)
  const buffer = bytes(before + text)
  try {
    const head = parse(buffer, before.length, buffer.length, memory)
    if (head === null) return null
    const { header, end, ...facts } = head
    const { headers, ...start } = header
    const known = [headers.contentLength, headers.hasDate, headers.host]
    const lines = headers.toLines()
    const seen = { start, known, lines, end: end - before.length, ...facts }
    // What a hook does to this head must not be seen in the next one.
    headers.set('Host', 'changed')
    headers.append('X-New', '1')
    return { ...seen, changed: headers.toLines() }
  } catch (thrown) {
    return toProxyError(thrown, 'PGR_INTERNAL').code
  }
}

const request: Parse = (buffer, start, to, memory) => {
  return parseRequestHead(buffer, start, to, 8, memory)
}

function answerTo(method: string): Parse {
  return (buffer, start, to, memory) => parseResponseHead(buffer, start, to, method, memory)
}

/** One head of a sequence. */
type Case = readonly [text: string, parse: Parse]

/** Whether a sequence of heads says the same with a memory as without. */
function agrees(one: fc.Arbitrary<Case>): void {
  // Few different heads in a sequence, so that many are the same as the one before.
  const sequence = fc
    .array(one, { minLength: 1, maxLength: 4 })
    .chain((few) => fc.array(fc.constantFrom(...few), { maxLength: 20 }))
  const property = fc.property(sequence, (heads) => {
    const memory = new HeadMemory()
    for (const [text, parse] of heads) {
      assert.deepEqual(read(text, parse, memory), read(text, parse, null), JSON.stringify(text))
    }
  })
  fc.assert(property, { numRuns: 2_000 })
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

const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nDate: d\r\n\r\n',
  'HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close, X-A\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  'HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: ${'x'.repeat(4_000)}\r\n\r\n`,
]

describe('HeadMemory', () => {
  test('changes nothing in what a sequence of requests says', () => {
    const after = fc.constantFrom('', '', '', 'hello', 'GET / HTTP/1.1\r\n')
    const head = fc.tuple(fc.constantFrom(...STARTS), fc.constantFrom(...RESTS), after)
    agrees(head.map((parts) => [parts.join(''), request]))
  })

  test('changes nothing in what a sequence of answers says, whatever was asked', () => {
    const body = fc.constantFrom('', '', 'hello', '5\r\nhello')
    const head = fc.tuple(fc.constantFrom(...ANSWERS), body).map((parts) => parts.join(''))
    const parse = fc.constantFrom('GET', 'HEAD', 'CONNECT').map(answerTo)
    agrees(fc.tuple(head, parse))
  })

  test('remembers a request that stands alone, and no longer one than it may keep', () => {
    const rest = ' HTTP/1.1\r\nHost: h.test\r\n\r\n'
    const memory = new HeadMemory()
    read(`GET /a${rest}hello`, request, memory)
    assert.equal(memory.recall(`${rest}hello`, 6), null)
    read(`GET /a${rest}`, request, memory)
    assert.equal(memory.recall(rest, 8)?.host, 'h.test')
    assert.equal(memory.recall(rest, 8)?.end, 8 + rest.length)
    assert.equal(memory.recall(rest, 8)?.buffer.length, 0)
    const long = ` HTTP/1.1\r\nHost: h.test\r\nX-Long: ${'x'.repeat(2_048)}\r\n\r\n`
    read(`GET /a${long}`, request, memory)
    assert.equal(memory.recall(long, 6), null)
    assert.equal(new HeadMemory().recall('', 0), null)
  })

  test('remembers an answer with what was read of its body, and where its head ends', () => {
    const memory = new HeadMemory()
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
    read(`${head}hello`, answerTo('GET'), memory)
    assert.equal(memory.recall(`${head}world`, 3), null)
    assert.equal(memory.recall(`${head}hello`, 3)?.end, head.length + 3)
  })
})
