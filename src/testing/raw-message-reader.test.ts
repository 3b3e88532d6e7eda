import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachSplit } from '../../test/helpers/splits.js'
import { ByteLog } from './byte-log.js'
import { RawMessageReader } from './raw-message-reader.js'
import type { StreamState } from './raw-message-reader.js'
import type { RawMessage } from './raw-message.js'

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** The only message of `text`, which is all that comes. */
function read(text: string, method: string, state: StreamState = 'open'): RawMessage | null {
  const log = new ByteLog()
  log.append(bytes(text))
  return new RawMessageReader(log).next(method, state)
}

describe('RawMessageReader', () => {
  test('gives the body as the text that it is, in UTF-8', () => {
    const body = Buffer.from('h\u00e9llo')
    const message = read(
      `POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\n${body.toString('latin1')}`,
      '',
    )
    assert.equal(message?.text, 'h\u00e9llo')
  })

  test('reads a request with all that there is to know of it', () => {
    const head = 'POST /a?b HTTP/1.1\r\nhOsT: a\r\nX: \t1 2 \r\nx:3\r\nContent-Length: 4\r\n\r\n'
    const message = read(`${head}b\xffdyGET`, '')!
    assert.deepEqual(
      [message.method, message.target, message.version, message.status, message.startLine],
      ['POST', '/a?b', '1.1', 0, 'POST /a?b HTTP/1.1'],
    )
    assert.deepEqual(message.headers.entries, [
      ['hOsT', 'a'],
      ['X', '1 2'],
      ['x', '3'],
      ['Content-Length', '4'],
    ])
    assert.deepEqual(
      [message.headers.get('HOST'), message.headers.getAll('x'), message.headers.has('y')],
      ['a', ['1 2', '3'], false],
    )
    assert.deepEqual(message.lines[1], 'X: \t1 2 ')
    assert.deepEqual([message.head, message.framing], [head, 'length'])
    assert.deepEqual([message.body, message.text], [bytes('b\xffdy'), 'b\ufffddy'])
    assert.deepEqual(message.raw, bytes(`${head}b\xffdy`))
    assert.deepEqual([message.complete, message.fault], [true, ''])
  })

  test('reads a response with all that there is to know of it', () => {
    const message = read('HTTP/1.0 299 Sch\xf6n\r\nContent-Length: 0\r\n\r\n', 'GET')!
    assert.deepEqual(
      [message.status, message.reason, message.version, message.method, message.target],
      [299, 'Sch\xf6n', '1.0', '', ''],
    )
  })

  /** Messages on one connection: the method of each request, or '' for requests; text; bodies. */
  const streams: readonly (readonly [string, string, string, readonly string[]])[] = [
    [
      'requests without body',
      '',
      'GET / HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.0\r\na: b\r\n\r\n',
      ['', ''],
    ],
    [
      'bodies by length that look like messages',
      '',
      'POST / HTTP/1.1\r\ncontent-length: 16\r\n\r\nGET / HTTP/1.1\r\n'.concat(
        'PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n',
      ),
      ['GET / HTTP/1.1\r\n', ''],
    ],
    [
      'chunks with extensions and trailers',
      '',
      'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '3;a="b"\r\nabc\r\n00A\r\n\r\n0\r\n\r\nde\r\r\n0\r\nX: 1\r\ny:\r\n\r\nGET / HTTP/1.1\r\n\r\n',
      ['abc\r\n0\r\n\r\nde\r', ''],
    ],
    [
      'interim responses, each by itself',
      'GET',
      'HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      ['', '', 'ok'],
    ],
    [
      'answers to HEAD',
      'HEAD',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      ['', ''],
    ],
    [
      'answers that never have a body',
      'GET',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 \r\n\r\n',
      ['', ''],
    ],
  ]
  for (const [name, method, text, bodies] of streams) {
    test(`reads ${name}, however the bytes are cut`, () => {
      forEachSplit(bytes(text), (pieces, how) => {
        const log = new ByteLog()
        const reader = new RawMessageReader(log)
        const messages: RawMessage[] = []
        for (const piece of pieces) {
          log.append(piece)
          for (let next = reader.next(method, 'open'); next; next = reader.next(method, 'open')) {
            messages.push(next)
          }
        }
        assert.deepEqual(
          messages.map((message) => message.text),
          bodies,
          how,
        )
        assert.equal(Buffer.concat(messages.map(({ raw }) => raw)).toString('latin1'), text)
        assert.equal(reader.cursor, text.length)
        assert.equal(reader.next(method, 'ended'), null)
      })
    })
  }

  test('reads trailers', () => {
    const message = read(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n',
      'GET',
    )
    assert.deepEqual(message?.trailers.entries, [
      ['X-Sum', '1'],
      ['x-sum', '2'],
    ])
    assert.equal(message.framing, 'chunked')
  })

  test('takes a body until the close for whole only when the end is orderly', () => {
    const text = 'HTTP/1.1 200 OK\r\n\r\nall of it'
    assert.equal(read(text, 'GET', 'open'), null)
    const ended = read(text, 'GET', 'ended')
    assert.deepEqual([ended?.text, ended?.complete, ended?.framing], ['all of it', true, 'close'])
    const broken = read(text, 'GET', 'broken')
    assert.deepEqual([broken?.text, broken?.fault], ['all of it', 'broken in the body'])
  })

  /** What came before the end, where that is, and the body so far. */
  const cuts: readonly (readonly [string, string, string])[] = [
    ['HTTP/1.1 200 OK\r\nContent-Le', 'ended in the head', ''],
    ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab', 'ended in the body', 'ab'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'ended in the body', ''],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc', 'ended in the body', 'abc'],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\n',
      'ended in the trailers',
      'a',
    ],
  ]
  for (const [text, fault, body] of cuts) {
    test(`gives what there is of a message that ${fault}: ${JSON.stringify(text.slice(-20))}`, () => {
      const message = read(text, 'GET', 'ended')
      assert.deepEqual([message?.fault, message?.text], [fault, body])
      assert.equal(message?.raw.toString('latin1'), text)
      assert.equal(read(text, 'GET', 'open'), null)
    })
  }

  /** What no codec may let through, with the method that it is read for. */
  const malformed: readonly (readonly [string, string, string])[] = [
    ['', 'GET  / HTTP/1.1\r\n\r\n', 'start line "GET  / HTTP/1.1"'],
    ['', 'HTTP/1.1 200 OK\r\n\r\n', 'start line "HTTP/1.1 200 OK"'],
    ['GET', 'HTTP/1.1 20 OK\r\n\r\n', 'start line "HTTP/1.1 20 OK"'],
    ['GET', 'GET / HTTP/1.1\r\n\r\n', 'start line "GET / HTTP/1.1"'],
    ['', 'GET / HTTP/1.1\r\nA : b\r\n\r\n', 'field line "A : b"'],
    ['', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', 'field line " c"'],
    ['', 'GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n', 'field line "A: b\\nC: d"'],
    ['', 'GET / HTTP/1.1\r\nA: b\0\r\n\r\n', 'field line "A: b\\u0000"'],
    ['', 'GET / HTTP/1.1\r\nnothing\r\n\r\n', 'field line "nothing"'],
    ['', 'PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\na', 'Content-Length "+1"'],
    ['', 'PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na', 'Content-Length "1, 1"'],
    ['', 'PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', 'Transfer-Encoding "gzip"'],
    [
      '',
      'PUT / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na',
      'more than one field that frames the body',
    ],
    [
      '',
      'PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'more than one field that frames the body',
    ],
    ['', 'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', 'chunk size "x"'],
    ['', 'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na', 'chunk size "1 "'],
    [
      '',
      'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc',
      '"bc" behind the data of a chunk',
    ],
    [
      '',
      'PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n',
      'field line "A b"',
    ],
  ]
  for (const [method, text, fault] of malformed) {
    test(`finds the fault: ${fault}`, () => {
      const log = new ByteLog()
      const reader = new RawMessageReader(log)
      log.append(bytes(text))
      for (let round = 0; round < 2; round++) {
        const message = reader.next(method, 'open')
        assert.deepEqual([message?.complete, message?.fault], [false, `malformed: ${fault}`])
      }
      assert.equal(reader.cursor, 0)
    })
  }

  test('reads again from the start when it learns that the request was another one', () => {
    const log = new ByteLog()
    log.append(bytes('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'))
    const reader = new RawMessageReader(log)
    assert.equal(reader.next('GET', 'open'), null)
    assert.equal(reader.next('HEAD', 'open')?.complete, true)
  })

  test('takes time in proportion to the bytes, also when they come one by one', () => {
    const chunk = `1\r\na\r\n`
    const count = 100_000
    const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(count)}0\r\n\r\n`
    const log = new ByteLog()
    const reader = new RawMessageReader(log)
    let message: RawMessage | null = null
    for (const byte of bytes(text)) {
      log.append(Buffer.of(byte))
      message ??= reader.next('GET', 'open')
    }
    // Quadratic work would take minutes.
    assert.equal(message?.body.length, count)
  })
})
