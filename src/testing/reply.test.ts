import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from './reply.js'
import type { Reply, ReplyStep } from './reply-steps.js'

/** What a reply does, with bytes as latin1 text, one string per write. */
function script(made: Reply): string[] {
  const done: string[] = []
  let isOpen = false
  for (const step of made.steps) {
    const text = shownStep(step)
    if (step.kind === 'send' && isOpen) done.push(`${done.pop() ?? ''}${text}`)
    else done.push(text)
    isOpen = step.kind === 'send'
  }
  return done
}

function shownStep(step: ReplyStep): string {
  if (step.kind === 'send') return step.bytes.toString('latin1')
  return step.kind === 'wait' ? `wait ${step.ms}` : step.kind
}

const OK2 = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

describe('a reply', () => {
  const made: readonly (readonly [string, Reply, readonly string[]])[] = [
    ['without arguments', reply(), ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']],
    ['with a body', reply(200, 'ok'), [OK2]],
    [
      'that grants an upgrade',
      reply.upgrade('tcp', { 'X-A': '1' }).followedBy(reply.raw('hi')),
      [
        'HTTP/1.1 101 Switching Protocols\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
        'tunnel',
        'hi',
      ],
    ],
    ['with a body of bytes', reply(200, Uint8Array.of(111, 107)), [OK2]],
    [
      'with text above ASCII, as UTF-8',
      reply(200, 'ü'),
      ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xc3\xbc'],
    ],
    [
      'with fields as an object',
      reply(404, '', { headers: { 'X-A': '1', 'x-b': '2' } }),
      ['HTTP/1.1 404 Not Found\r\nX-A: 1\r\nx-b: 2\r\nContent-Length: 0\r\n\r\n'],
    ],
    [
      'with fields that repeat',
      reply(200, '', {
        headers: [
          ['Set-Cookie', 'a'],
          ['Set-Cookie', 'b'],
        ],
      }),
      ['HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n'],
    ],
    [
      'with its own framing field',
      reply(200, 'ok', { headers: { 'content-length': '2' } }),
      ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'],
    ],
    [
      'with its own reason',
      reply(200, '', { reason: 'Fine' }),
      ['HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n'],
    ],
    ['with a status nobody knows', reply(299), ['HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n']],
    [
      'without keep-alive',
      reply(200, 'ok', { keepAlive: false }),
      ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok', 'end'],
    ],
    [
      'with a wrong length',
      reply(200, 'ok', { contentLength: 9 }),
      ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok'],
    ],
    ['204', reply(204), ['HTTP/1.1 204 No Content\r\n\r\n']],
    [
      '304 with a length',
      reply(304, '', { contentLength: 9 }),
      ['HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n'],
    ],
    ['in one chunk', reply(200, 'hello', { chunked: true }), [`${CHUNKED}5\r\nhello\r\n0\r\n\r\n`]],
    ['in no chunk', reply(200, '', { chunked: true }), [`${CHUNKED}0\r\n\r\n`]],
    [
      'in chunks of given sizes',
      reply(200, 'x'.repeat(15), { chunked: [11, 2] }),
      [`${CHUNKED}b\r\nxxxxxxxxxxx\r\n2\r\nxx\r\n2\r\nxx\r\n0\r\n\r\n`],
    ],
    [
      'with trailers',
      reply(200, 'a', { trailers: { 'X-Sum': '1' } }),
      [`${CHUNKED}1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n`],
    ],
    ['that comes late', reply(200, 'ok', { delayMs: 5 }), ['wait 5', OK2]],
    [
      'that comes later still',
      reply(200, 'ok', { delayMs: 5 }).after(7),
      ['wait 7', 'wait 5', OK2],
    ],
    ['raw', reply.raw('any\xff'), ['any\xff']],
    ['interim', reply.interim(), ['HTTP/1.1 103 Early Hints\r\n\r\n']],
    [
      'interim, and then final',
      reply.interim(103, { Link: 'a' }).followedBy(reply(200, 'ok')),
      [`HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${OK2}`],
    ],
    [
      'interim, and final later',
      reply.interim(100).followedBy(reply(200, 'ok').after(1)),
      ['HTTP/1.1 100 Continue\r\n\r\n', 'wait 1', OK2],
    ],
    ['never', reply.never(), ['stall']],
    ['a close', reply.close(), ['end']],
    ['a reset', reply.reset(), ['reset']],
    ['a close after a while', reply.close().after(3), ['wait 3', 'end']],
    ['to HEAD', reply(200, 'ok').withoutBody(), ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n']],
    ['to HEAD, in chunks', reply(200, 'ok', { trailers: { a: 'b' } }).withoutBody(), [CHUNKED]],
    ['cut before it began', reply(200, 'ok').after(4).cutAfter(0, 'reset'), ['wait 4', 'reset']],
    ['cut in the head', reply(200, 'ok').cutAfter(10, 'end'), ['HTTP/1.1 2', 'end']],
    [
      'cut in the body',
      reply(200, 'ok').cutAfter(OK2.length - 1, 'stall'),
      [OK2.slice(0, -1), 'stall'],
    ],
    [
      'cut behind the last byte',
      reply(200, 'ok', { keepAlive: false }).cutAfter(999, 'reset'),
      ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok', 'reset'],
    ],
    ['in pieces', reply.raw('abcde').slowly(2, 10), ['ab', 'wait 10', 'cd', 'wait 10', 'e']],
    [
      'in pieces, cut at a border',
      reply.raw('abcde').slowly(2, 10).cutAfter(4, 'reset'),
      ['ab', 'wait 10', 'cd', 'wait 10', 'reset'],
    ],
  ]
  for (const [name, value, expected] of made) {
    test(name, () => {
      assert.deepEqual(script(value), expected)
    })
  }

  test('knows all its bytes', () => {
    assert.equal(reply(200, 'ok').slowly(3, 1).bytes.toString(), OK2)
  })

  test('does not change with what it was made from, nor with what is made from it', () => {
    const body = Buffer.from('ok')
    const first = reply(200, body)
    body.fill(0)
    first.after(1).cutAfter(3, 'reset').followedBy(reply())
    assert.deepEqual(script(first), [OK2])
    assert.throws(() => (first.steps as ReplyStep[]).push({ kind: 'end' }), TypeError)
  })

  test('that is garbage is no response, and repeats with its seed', () => {
    const seeded = (): { next: () => number } => {
      let n = 0
      return { next: () => (n = (n + 0.37) % 1) }
    }
    assert.deepEqual(reply.garbage(), reply.garbage())
    assert.deepEqual(reply.garbage(seeded()), reply.garbage(seeded()))
    for (const { bytes } of [reply.garbage(), reply.garbage(seeded())]) {
      assert.equal(bytes[0], 0x16)
      assert.ok(bytes.toString('latin1').endsWith('\r\n\r\n'))
    }
  })

  const refused: readonly (readonly [string, () => unknown])[] = [
    ['a status of two digits', () => reply(99)],
    ['an interim response with a final status', () => reply.interim(200)],
    ['a body where none may be', () => reply(204, 'x')],
    ['chunks where no body may be', () => reply(304, '', { chunked: true })],
    ['a length of a chunked response', () => reply(200, 'x', { chunked: true, contentLength: 1 })],
    ['trailers without chunks', () => reply(200, 'x', { chunked: false, trailers: { a: 'b' } })],
    ['no chunk size', () => reply(200, 'x', { chunked: [] })],
    ['an empty chunk', () => reply(200, 'x', { chunked: [0] })],
    ['a wait into the past', () => reply().after(-1)],
    ['pieces of nothing', () => reply().slowly(0, 1)],
    ['a cut before the begin', () => reply().cutAfter(-1, 'end')],
  ]
  for (const [name, make] of refused) {
    test(`refuses ${name}`, () => {
      assert.throws(make, { code: 'PGR_OPTION_INVALID' })
    })
  }
})
