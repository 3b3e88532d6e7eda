/** Response heads: one table per section of the RFC, each input given whole and at every split. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeResponses } from '../../../test/helpers/decode-stream.js'
import type { Decoded } from '../../../test/helpers/decode-stream.js'
import { bytes, forEachSplit } from '../../../test/helpers/splits.js'
import { CHUNKED, UNTIL_CLOSE, parseResponseHead } from './index.js'
import type { ResponseHead } from './index.js'

const INVALID = 'PGR_RESPONSE_INVALID'

function decodeText(text: string, method = 'GET', ended = false): Decoded<ResponseHead> {
  const input = bytes(text)
  const whole = decodeResponses([input], [method], { ended })
  forEachSplit(input, (pieces, how) => {
    assert.deepEqual(decodeResponses(pieces, [method], { ended }), whole, how)
  })
  return whole
}

/** The head of the only answer; a body that is not complete is ended by the connection. */
function accepted(text: string, method = 'GET'): ResponseHead {
  const { messages, error } = decodeText(text, method, true)
  assert.deepEqual([error, messages.length], [null, 1], JSON.stringify(text))
  return messages[0]!.head
}

function refused(text: string, method = 'GET'): void {
  const { messages, error } = decodeText(text, method)
  assert.deepEqual([error, messages.length], [INVALID, 0], JSON.stringify(text))
}

describe('the status line (RFC 9112 §4)', () => {
  test('comes first: only requests may have empty lines before them (§2.2)', () => {
    refused('\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })

  const lines: readonly (readonly [string, number, string, string])[] = [
    ['HTTP/1.1 200 OK', 200, 'OK', '1.1'],
    ['HTTP/1.0 200 OK', 200, 'OK', '1.0'],
    ['HTTP/1.1 404 Not  Found ', 404, 'Not  Found ', '1.1'],
    ['HTTP/1.1 200 ', 200, '', '1.1'],
    ['HTTP/1.1 200', 200, '', '1.1'],
    ['HTTP/1.1 599 Odd', 599, 'Odd', '1.1'],
    ['HTTP/1.1 999 \xe9\t!', 999, '\xe9\t!', '1.1'],
  ]
  for (const [line, status, reason, version] of lines) {
    test(`accepts ${JSON.stringify(line)} and changes nothing`, () => {
      const { header } = accepted(`${line}\r\nContent-Length: 0\r\n\r\n`)
      assert.deepEqual([header.status, header.reason, header.version], [status, reason, version])
    })
  }

  const faults = [
    'HTTP/1.1',
    'HTTP/1.1 ',
    'HTTP/1.1 2 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 000 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.1 -20 OK',
    'HTTP/1.1 200OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/0.9 200 OK',
    'HTTP/01.1 200 OK',
    'HTTP/11 200 OK',
    'http/1.1 200 OK',
    'HTP/1.1 200 OK',
    'HTTPER/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'ICY 200 OK',
    'HTTP/1.1 200 a\rb',
    'HTTP/1.1 200 a\nb',
    'HTTP/1.1 200 a\0',
    'HTTP/1.1 200 a\x7f',
    'HTTP/1.1 200\r OK',
    '\0\x01garbage',
  ]
  for (const line of faults) {
    test(`refuses ${JSON.stringify(line)}`, () => {
      refused(`${line}\r\nContent-Length: 0\r\n\r\n`)
    })
  }
})

describe('message body length of responses (RFC 9112 §6.3)', () => {
  const table: readonly (readonly [string, number, string, number])[] = [
    ['GET', 200, 'Content-Length: 0', 0],
    ['GET', 200, 'Transfer-Encoding: chunked', CHUNKED],
    ['GET', 200, 'TRANSFER-ENCODING: Chunked', CHUNKED],
    ['GET', 200, '', UNTIL_CLOSE],
    ['GET', 205, 'Content-Length: 0', 0],
    ['GET', 204, '', 0],
    ['GET', 304, '', 0],
    ['GET', 304, 'Content-Length: 5', 0],
    ['GET', 304, 'Transfer-Encoding: chunked', 0],
    ['HEAD', 200, 'Content-Length: 5', 0],
    ['HEAD', 200, 'Transfer-Encoding: chunked', 0],
    ['HEAD', 200, '', 0],
    ['HEAD', 404, 'Content-Length: 5', 0],
  ]
  for (const [method, status, field, length] of table) {
    test(`${status} to ${method} with ${JSON.stringify(field)} is a body of ${length}`, () => {
      const end = length === CHUNKED ? '0\r\n\r\n' : ''
      const lines = field === '' ? '' : `${field}\r\n`
      const head = accepted(`HTTP/1.1 ${status} X\r\n${lines}\r\n${end}`, method)
      assert.equal(head.bodyLength, length)
    })
  }

  test('a length is the bytes that belong to the body, and no more', () => {
    const { messages, error } = decodeText('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokjunk')
    assert.deepEqual([messages[0]?.body, messages[0]?.head.bodyLength, error], ['ok', 2, null])
  })

  test('keeps the length that a 304 or an answer to HEAD tells, and drops that of 204 and 1xx', () => {
    const lengthOf = (status: number, method: string): string | undefined =>
      decodeResponses(
        [bytes(`HTTP/1.1 ${status} X\r\nContent-Length: 5\r\n\r\n`)],
        [method],
      ).messages[0]!.head.header.getHeader('content-length')
    assert.equal(lengthOf(304, 'GET'), '5')
    assert.equal(lengthOf(200, 'HEAD'), '5')
    assert.equal(lengthOf(204, 'GET'), undefined)
    assert.equal(lengthOf(103, 'GET'), undefined)
  })

  const fields = [
    'Content-Length: 2\r\nContent-Length: 2',
    'Content-Length: 2\r\nContent-Length: 5',
    'Content-Length: 2, 2',
    'Content-Length: -2',
    'Content-Length: +2',
    'Content-Length: 2x',
    'Content-Length:',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: 2',
    'Content-Length: 2\r\nTransfer-Encoding: chunked',
  ]
  for (const field of fields) {
    test(`refuses ${JSON.stringify(field)}, whatever the status`, () => {
      refused(`HTTP/1.1 200 OK\r\n${field}\r\n\r\nok`)
      refused(`HTTP/1.1 304 X\r\n${field}\r\n\r\n`)
      refused(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`, 'HEAD')
    })
  }

  test('refuses chunked in HTTP/1.0', () => {
    refused('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
  })

  test('refuses fields that are none, as in requests', () => {
    for (const line of [
      'X-A : v',
      ' X-A: v',
      'X-A: a\r\n b',
      'X-A: a\rb',
      'X-A: a\nb',
      'X-A',
      ': v',
      'X\0: v',
    ]) {
      refused(`HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 0\r\n\r\n`)
    }
  })
})

describe('persistence of upstream connections (RFC 9112 §9.3)', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['1.1', 'Content-Length: 0', true],
    ['1.1', 'Transfer-Encoding: chunked', true],
    ['1.1', 'Content-Length: 0\r\nConnection: Close', false],
    ['1.1', 'X: y', false], // The body ends with the connection.
    ['1.0', 'Content-Length: 0', false],
    ['1.0', 'Content-Length: 0\r\nConnection: keep-alive', true],
    ['1.0', 'Connection: keep-alive', false],
  ]
  for (const [version, fields, keepAlive] of table) {
    test(`HTTP/${version} with ${JSON.stringify(fields)} ${keepAlive ? 'goes on' : 'ends'}`, () => {
      const end = fields.startsWith('Transfer') ? '0\r\n\r\n' : ''
      assert.equal(
        accepted(`HTTP/${version} 200 OK\r\n${fields}\r\n\r\n${end}`).keepAlive,
        keepAlive,
      )
    })
  }
})

describe('interim and following responses', () => {
  test('come one after the other (RFC 9110 §15.2)', () => {
    const { messages, error } = decodeText(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    )
    assert.equal(error, null)
    assert.deepEqual(
      messages.map(({ head, body }) => [head.header.status, body]),
      [
        [100, ''],
        [103, ''],
        [200, 'ok'],
      ],
    )
    assert.deepEqual(messages[1]!.fields, [['Link', '</a>']])
  })

  test('keep obs-text, order and case, and lose hop-by-hop fields (RFC 9110 §7.6.1)', () => {
    const { header } = accepted(
      'HTTP/1.1 204 X\r\nb: \x80\xff\r\nA: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n' +
        'Proxy-Authenticate: x\r\nUpgrade: h2c\r\nset-COOKIE: a\r\nset-cookie: b\r\n\r\n',
    )
    assert.deepEqual(
      [...header.headers],
      [
        ['b', '\x80\xff'],
        ['A', '1'],
        ['set-COOKIE', 'a'],
        ['set-cookie', 'b'],
      ],
    )
  })
})

describe('a response that is cut off', () => {
  const texts: readonly (readonly [string, string | null])[] = [
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell', 'PGR_RESPONSE_BODY_INCOMPLETE'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'PGR_RESPONSE_BODY_INCOMPLETE'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'PGR_RESPONSE_BODY_INCOMPLETE'],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello',
      'PGR_RESPONSE_BODY_INCOMPLETE',
    ],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      'PGR_RESPONSE_BODY_INCOMPLETE',
    ],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n', 'PGR_RESPONSE_BODY_INCOMPLETE'],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n',
      'PGR_RESPONSE_BODY_INCOMPLETE',
    ],
    ['HTTP/1.1 200 OK\r\n\r\nhello', null],
    ['HTTP/1.1 200 OK\r\n\r\n', null],
  ]
  for (const [text, code] of texts) {
    test(`${JSON.stringify(text)} is ${code ?? 'complete'}`, () => {
      assert.equal(decodeText(text, 'GET', true).error, code)
    })
  }
})

describe('a head that is parsed before it is known to be complete', () => {
  test('is not taken while bytes are missing, whatever lies behind them in the buffer', () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n'
    for (const stale of ['\r\n\r\n', 'X: y\r\n\r\n', '\0\0\0\0', 'aaaa', '']) {
      for (let length = 0; length < head.length; length++) {
        const buffer = bytes(head.slice(0, length) + stale)
        assert.equal(parseResponseHead(buffer, 0, length, 'GET'), null, `${length} ${stale}`)
      }
    }
    assert.equal(
      parseResponseHead(bytes(`${head}hello`), 0, head.length + 5, 'GET')?.end,
      head.length,
    )
  })
})
