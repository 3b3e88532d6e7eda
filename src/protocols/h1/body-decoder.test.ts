/** Message bodies: by length, in chunks, with trailers, whole and at every split. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeRequests } from '../../../test/helpers/decode-stream.js'
import type { Message } from '../../../test/helpers/decode-stream.js'
import { bytes, forEachSplit } from '../../../test/helpers/splits.js'
import { BodyDecoder, CHUNKED, UNTIL_CLOSE } from './index.js'
import type { RequestHead } from './index.js'

const INVALID = 'PGR_REQUEST_BODY_INVALID'
const HEAD = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n'

/** Decodes a chunked body, cutting only what comes after the head. */
function chunkedMessage(body: string): Message<RequestHead> {
  const input = bytes(body)
  const whole = decodeRequests([bytes(HEAD), input])
  forEachSplit(input, (pieces, how) => {
    assert.deepEqual(decodeRequests([bytes(HEAD), ...pieces]), whole, how)
  })
  assert.deepEqual(
    [whole.error, whole.messages.length, whole.headBegun],
    [null, 1, false],
    JSON.stringify(body),
  )
  return whole.messages[0]!
}

function chunkedFault(body: string): string | null {
  const input = bytes(body)
  const whole = decodeRequests([bytes(HEAD), input])
  forEachSplit(input, (pieces, how) => {
    assert.deepEqual(decodeRequests([bytes(HEAD), ...pieces]), whole, how)
  })
  assert.equal(whole.messages.length, 0, JSON.stringify(body))
  return whole.error
}

describe('chunked bodies (RFC 9112 §7.1)', () => {
  const table: readonly (readonly [string, string])[] = [
    ['0\r\n\r\n', ''],
    ['5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['1\r\na\r\n2\r\nbc\r\n0\r\n\r\n', 'abc'],
    ['a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'],
    ['0005\r\nhello\r\n000\r\n\r\n', 'hello'],
    ['4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
    ['5\r\n0\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n'],
    ['2\r\n\0\xff\r\n0\r\n\r\n', '\0\xff'],
  ]
  for (const [coded, body] of table) {
    test(`${JSON.stringify(coded)} is ${JSON.stringify(body)}`, () => {
      assert.equal(chunkedMessage(coded).body, body)
    })
  }

  for (const extension of [
    ';',
    ';a',
    ';a=b',
    ';a="b;c"',
    ' ;a',
    '\t ;a',
    ';a = b',
    ';"\\"";c',
    ';\x80',
    ';;',
  ]) {
    const allowed = extension.startsWith(';')
    test(`${allowed ? 'drops' : 'refuses'} the extension ${JSON.stringify(extension)} (§7.1.1)`, () => {
      const coded = `5${extension}\r\nhello\r\n0${extension}\r\n\r\n`
      if (allowed) assert.equal(chunkedMessage(coded).body, 'hello')
      else assert.equal(chunkedFault(coded), INVALID)
    })
  }

  const faults = [
    '\r\nhello\r\n0\r\n\r\n',
    ';\r\nhello\r\n0\r\n\r\n',
    ' 5\r\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    '5\t\r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n',
    '+5\r\nhello\r\n0\r\n\r\n',
    '-5\r\nhello\r\n0\r\n\r\n',
    '5.\r\nhello\r\n0\r\n\r\n',
    '1_0\r\nhello\r\n0\r\n\r\n',
    'g\r\nhello\r\n0\r\n\r\n',
    '5h\r\nhello\r\n0\r\n\r\n',
    '5,\r\nhello\r\n0\r\n\r\n',
    '5\nhello\r\n0\r\n\r\n',
    '5\rhello\r\n0\r\n\r\n',
    '5\r\r\nhello\r\n0\r\n\r\n',
    '5;a\rb\r\nhello\r\n0\r\n\r\n',
    '5;a\nhello\r\n0\r\n\r\n',
    '5;\0\r\nhello\r\n0\r\n\r\n',
    '5;\x7f\r\nhello\r\n0\r\n\r\n',
    '5\0\r\nhello\r\n0\r\n\r\n',
    '3\r\nhello\r\n0\r\n\r\n',
    '6\r\nhello\r\n0\r\n\r\n',
    '5\r\nhelloX0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello\r0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '5\r\nhello\r\n\r\n0\r\n\r\n',
    '0\n\r\n',
    '0\r\n\n',
    '0\r\n\rX',
    'FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n',
    '10000000000000005\r\nhello\r\n0\r\n\r\n',
    '00000000000000000005\r\nhello\r\n0\r\n\r\n',
  ]
  for (const body of faults) {
    test(`refuses ${JSON.stringify(body)}`, () => {
      assert.equal(chunkedFault(body), INVALID)
    })
  }
})

describe('trailer sections (RFC 9112 §7.1.2)', () => {
  test('are parsed as fields, with case, order and obs-text', () => {
    const { trailers } = chunkedMessage('0\r\nX-B: 1\r\nx-a: \xff\r\nX-b:\t2 \r\n\r\n')
    assert.deepEqual(trailers, [
      ['X-B', '1'],
      ['x-a', '\xff'],
      ['X-b', '2'],
    ])
  })

  test('are null when there are none', () => {
    assert.equal(chunkedMessage('0\r\n\r\n').trailers, null)
  })

  test('lose the fields that frame, route or authorise (RFC 9110 §6.5.1)', () => {
    const forbidden = [
      'Host: evil.test',
      'Content-Length: 5',
      'Transfer-Encoding: chunked',
      'Connection: x-kept',
      'Connection: close',
      'TE: trailers',
      'Upgrade: h2c',
      'Keep-Alive: 5',
      'Authorization: x',
      'Proxy-Authorization: x',
      'Cookie: a',
      'Set-Cookie: a',
      'Content-Type: a',
      'Content-Encoding: gzip',
      'Content-Range: x',
      'Cache-Control: no-store',
      'Expect: 100-continue',
      'Max-Forwards: 1',
      'Range: x',
      'Trailer: x',
    ]
    for (const line of forbidden) {
      assert.equal(chunkedMessage(`0\r\n${line}\r\n\r\n`).trailers, null, line)
      const { trailers } = chunkedMessage(`0\r\nX-Y: 1\r\n${line}\r\n\r\n`)
      assert.deepEqual(trailers, [['X-Y', '1']], line)
    }
  })

  test('belong to one message only', () => {
    const first = `${HEAD}0\r\nX-T: 1\r\n\r\n`
    const { messages } = decodeRequests([bytes(`${first}${HEAD}0\r\n\r\n${first}`)])
    assert.deepEqual(
      messages.map(({ trailers }) => trailers?.length ?? null),
      [1, null, 1],
    )
  })

  for (const line of [
    'X-A : v',
    ' X-A: v',
    'X-A',
    ': v',
    'X-A: a\rb',
    'X-A: a\nb',
    'X-A: \0',
    'X-A: v\r\n w',
    'Content-Length: x',
  ]) {
    test(`are refused with ${JSON.stringify(line)}`, () => {
      assert.equal(chunkedFault(`0\r\n${line}\r\n\r\n`), INVALID)
    })
  }
})

describe('pipelined bodies (RFC 9112 §9.3.2)', () => {
  test('end where the next head begins, wherever the reads are cut', () => {
    const input = bytes(
      'POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc' +
        'GET /2 HTTP/1.1\r\nHost: h\r\n\r\n' +
        'POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\n' +
        '\r\nPOST /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n' +
        'POST /5 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nincomp',
    )
    const whole = decodeRequests([input])
    assert.deepEqual(
      whole.messages.map(({ head, body }) => [head.header.target, body]),
      [
        ['/1', 'abc'],
        ['/2', ''],
        ['/3', 'def'],
        ['/4', ''],
      ],
    )
    assert.deepEqual([whole.partialBody, whole.error], ['incomp', null])
    forEachSplit(input, (pieces, how) => {
      assert.deepEqual(decodeRequests(pieces), whole, how)
    })
  })

  test('that are cut off say so', () => {
    for (const body of [
      'Content-Length: 5\r\n\r\nhell',
      'Transfer-Encoding: chunked\r\n\r\n0\r\n',
    ]) {
      const input = bytes(`POST / HTTP/1.1\r\nHost: h\r\n${body}`)
      assert.equal(decodeRequests([input], { ended: true }).error, 'PGR_REQUEST_BODY_INCOMPLETE')
    }
  })
})

describe('BodyDecoder', () => {
  const codes = { invalidCode: INVALID, incompleteCode: 'PGR_REQUEST_BODY_INCOMPLETE' } as const

  test('gives ranges of the buffer that it is given, one chunk at a time', () => {
    const decoder = new BodyDecoder(codes)
    decoder.start(CHUNKED)
    const buffer = bytes('..3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET')
    const pieces: string[] = []
    let at = 2
    while (!decoder.done) {
      at = decoder.next(buffer, at, buffer.length)
      pieces.push(buffer.toString('latin1', decoder.dataStart, decoder.dataEnd))
    }
    assert.deepEqual(
      pieces.filter((piece) => piece !== ''),
      ['abc', 'de'],
    )
    assert.equal(buffer.toString('latin1', at), 'GET')
    assert.equal(decoder.next(buffer, at, buffer.length), at, 'takes nothing more')
    assert.equal(decoder.dataStart, decoder.dataEnd)
  })

  test('counts down lengths that no 32-bit number holds', () => {
    const decoder = new BodyDecoder(codes)
    decoder.start(2 ** 40)
    const buffer = Buffer.alloc(1_024)
    assert.equal(decoder.next(buffer, 0, 1_024), 1_024)
    assert.equal(decoder.done, false)
    decoder.start(CHUNKED)
    const line = bytes('10000000000\r\n')
    assert.equal(decoder.next(line, 0, line.length), line.length)
    assert.equal(decoder.next(buffer, 0, 1_024), 1_024)
    assert.equal(decoder.dataEnd - decoder.dataStart, 1_024)
  })

  test('takes everything until the close, and ends there', () => {
    const decoder = new BodyDecoder(codes)
    decoder.start(UNTIL_CLOSE)
    assert.equal(decoder.done, false)
    assert.equal(decoder.next(bytes('abc'), 1, 3), 3)
    assert.deepEqual([decoder.dataStart, decoder.dataEnd, decoder.done], [1, 3, false])
    decoder.finish()
    assert.equal(decoder.done, true)
  })

  test('has nothing to end when there is no body', () => {
    const decoder = new BodyDecoder(codes)
    decoder.finish()
    decoder.start(0)
    assert.equal(decoder.done, true)
    decoder.finish()
  })
})

describe('chunk extensions', () => {
  /** `count` chunks of `data` with an extension of `extensionBytes` each. */
  function decode(count: number, data: string, extensionBytes: number): string | null {
    const chunk = `${data.length.toString(16)};${'e'.repeat(extensionBytes)}\r\n${data}\r\n`
    return decodeRequests([bytes(HEAD), bytes(`${chunk.repeat(count)}0\r\n\r\n`)]).error
  }

  test('may be longer than their data, but not for ever', () => {
    assert.equal(decode(4, 'x', 4_000), null)
    assert.equal(decode(5, 'x', 4_000), INVALID)
    assert.equal(decode(500, 'x', 20), null)
    assert.equal(decode(5_000, 'x', 20), INVALID)
  })

  test('may come with every chunk of data that is worth it', () => {
    assert.equal(decode(2_000, 'x'.repeat(100), 90), null)
  })
})
