/** Request heads: one table per section of the RFC, each input given whole and at every split. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeRequests } from '../../../test/helpers/decode-stream.js'
import type { Decoded } from '../../../test/helpers/decode-stream.js'
import { bytes, forEachSplit } from '../../../test/helpers/splits.js'
import { CHUNKED, parseRequestHead } from './index.js'
import type { RequestHead } from './index.js'

const INVALID = 'PGR_REQUEST_INVALID'
const VERSION = 'PGR_VERSION_UNSUPPORTED'
const CONNECT = 'PGR_CONNECT_NOT_ALLOWED'

/** Decodes `text` whole, checks that every split gives the same, and returns it. */
function decodeText(text: string): Decoded<RequestHead> {
  const input = bytes(text)
  const whole = decodeRequests([input])
  forEachSplit(input, (pieces, how) => {
    const { messages, ...rest } = decodeRequests(pieces)
    assert.deepEqual({ messages, ...rest }, whole, how)
  })
  return whole
}

function accepted(text: string): RequestHead {
  const { messages, error, headBegun } = decodeText(text)
  assert.equal(error, null, JSON.stringify(text))
  assert.equal(headBegun, false)
  assert.equal(messages.length, 1)
  return messages[0]!.head
}

function refused(text: string, code: string): void {
  const { messages, error } = decodeText(text)
  assert.deepEqual([error, messages.length], [code, 0], JSON.stringify(text))
}

describe('the request line (RFC 9112 §3)', () => {
  const lines: readonly (readonly [string, string, string, string])[] = [
    ['GET / HTTP/1.1', 'GET', '/', '1.1'],
    ['GET / HTTP/1.0', 'GET', '/', '1.0'],
    ['get / HTTP/1.1', 'get', '/', '1.1'],
    ["!#$%&'*+-.^_`|~09Az / HTTP/1.1", "!#$%&'*+-.^_`|~09Az", '/', '1.1'],
    ['GET /a?b=c&d=%20#e HTTP/1.1', 'GET', '/a?b=c&d=%20#e', '1.1'],
    ['GET //a/../b HTTP/1.1', 'GET', '//a/../b', '1.1'],
    ['GET /{}|\\^"<>` HTTP/1.1', 'GET', '/{}|\\^"<>`', '1.1'],
    ['GET /\x80\xff HTTP/1.1', 'GET', '/\x80\xff', '1.1'],
  ]
  for (const [line, method, target, version] of lines) {
    test(`accepts ${JSON.stringify(line)} and changes nothing`, () => {
      const { header } = accepted(`${line}\r\nHost: h.test\r\n\r\n`)
      assert.deepEqual([header.method, header.target, header.version], [method, target, version])
    })
  }

  const faults: readonly (readonly [string, string])[] = [
    [' GET / HTTP/1.1', INVALID],
    ['\tGET / HTTP/1.1', INVALID],
    ['GET  / HTTP/1.1', INVALID],
    ['GET /  HTTP/1.1', INVALID],
    ['GET / HTTP/1.1 ', INVALID],
    ['GET\t/ HTTP/1.1', INVALID],
    ['GET /\tHTTP/1.1', INVALID],
    ['GET\f/ HTTP/1.1', INVALID],
    ['G(T / HTTP/1.1', INVALID],
    ['G\xc9T / HTTP/1.1', INVALID],
    ['GET /a b HTTP/1.1', INVALID],
    ['GET /\0 HTTP/1.1', INVALID],
    ['GET /\x01 HTTP/1.1', INVALID],
    ['GET /\x7f HTTP/1.1', INVALID],
    ['GET /\ra HTTP/1.1', INVALID],
    ['GET HTTP/1.1', INVALID],
    ['GET / ', INVALID],
    ['GET /', INVALID],
    ['GET', INVALID],
    ['/ HTTP/1.1', INVALID],
  ]
  for (const [line, code] of faults) {
    test(`refuses ${JSON.stringify(line)}`, () => {
      refused(`${line}\r\nHost: h.test\r\n\r\n`, code)
    })
  }
})

describe('the HTTP version (RFC 9112 §2.3)', () => {
  for (const version of ['HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/3.0']) {
    test(`answers 505 to ${version}`, () => {
      refused(`GET / ${version}\r\nHost: h.test\r\n\r\n`, VERSION)
    })
  }
  const malformed = [
    'HTTP/1',
    'HTTP/',
    'HTTP/11',
    'HTTP/1.10',
    'HTTP/01.1',
    'http/1.1',
    'HTTP/1.1\r',
  ]
  for (const version of [
    ...malformed,
    'HTTP/1.x',
    'HTTP 1.1',
    'HTTPS/1.1',
    'ICE/1.0',
    'HTTP/+1.1',
  ]) {
    test(`refuses ${JSON.stringify(version)}`, () => {
      refused(`GET / ${version}\r\nHost: h.test\r\n\r\n`, INVALID)
    })
  }
})

describe('the request target (RFC 9112 §3.2)', () => {
  const forms: readonly (readonly [string, string, string, string])[] = [
    ['GET', 'http://a.test/b?c', '/b?c', 'a.test'],
    ['GET', 'HTTPS://a.test:8443/', '/', 'a.test:8443'],
    ['GET', 'http://a.test', '/', 'a.test'],
    ['GET', 'http://a.test?q', '/?q', 'a.test'],
    ['GET', 'http://[::1]:80/x', '/x', '[::1]:80'],
    ['OPTIONS', 'http://a.test', '*', 'a.test'],
    ['OPTIONS', 'http://a.test/', '/', 'a.test'],
    ['OPTIONS', '*', '*', 'h.test'],
  ]
  for (const [method, target, origin, host] of forms) {
    test(`takes ${method} ${target} as ${origin} of ${host}`, () => {
      const { header } = accepted(`${method} ${target} HTTP/1.1\r\nA: 1\r\nhost: h.test\r\n\r\n`)
      assert.equal(header.target, origin)
      assert.deepEqual(header.headers.getAll('Host'), [host])
      assert.deepEqual(
        [...header.headers].map(([name]) => name.toLowerCase()),
        ['a', 'host'],
      )
    })
  }

  test('gives an HTTP/1.0 request without Host the authority of its target', () => {
    const { header } = accepted('GET http://a.test/ HTTP/1.0\r\n\r\n')
    assert.deepEqual([...header.headers], [['Host', 'a.test']])
  })

  const targets = [
    '*',
    'a.test',
    'a.test:80',
    'a/b',
    '?q',
    'http:/a',
    'http://',
    'http:///b',
    'ftp://a/',
  ]
  for (const target of [...targets, 'http://u@a.test/', 'http://a.test:80x/']) {
    test(`refuses the target ${target}`, () => {
      refused(`GET ${target} HTTP/1.1\r\nHost: h.test\r\n\r\n`, INVALID)
    })
  }

  test('answers 405 to a CONNECT that is well-formed, 400 to one that is not', () => {
    refused('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n', CONNECT)
    refused('CONNECT [::1]:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n', CONNECT)
    for (const target of ['a.test', 'a.test:', ':443', '/', 'http://a.test:443/', 'a.test:4x']) {
      refused(`CONNECT ${target} HTTP/1.1\r\nHost: h.test\r\n\r\n`, INVALID)
    }
  })
})

describe('Host (RFC 9112 §3.2, RFC 9110 §7.2)', () => {
  for (const host of [
    'h',
    'h.test',
    'h.test:80',
    'h.test:',
    '127.0.0.1:1',
    '[::1]',
    '[::ffff:1.2.3.4]:9',
    'a_b',
    '%41',
  ]) {
    test(`accepts ${host}`, () => {
      assert.equal(
        accepted(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).header.getHeader('host'),
        host,
      )
    })
  }
  for (const host of [
    '',
    'a b',
    'a/b',
    'a@b',
    'a?b',
    'a#b',
    'h:80x',
    'h:123456',
    '[::1',
    '::1',
    'h\x80',
    'a:b:1',
    '[]',
  ]) {
    test(`refuses ${JSON.stringify(host)}`, () => {
      refused(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, INVALID)
    })
  }
  test('needs exactly one, in HTTP/1.0 at most one', () => {
    refused('GET / HTTP/1.1\r\n\r\n', INVALID)
    refused('GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', INVALID)
    refused('GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', INVALID)
    refused('GET http://a.test/ HTTP/1.1\r\n\r\n', INVALID)
    assert.equal(accepted('GET / HTTP/1.0\r\n\r\n').header.headers.size, 0)
  })
})

describe('message body length of requests (RFC 9112 §6.3)', () => {
  const framings: readonly (readonly [string, number])[] = [
    ['', 0],
    ['Content-Length: 0', 0],
    ['content-LENGTH:\t7 ', 7],
    ['Content-Length: 9007199254740991', Number.MAX_SAFE_INTEGER],
    ['Transfer-Encoding: chunked', CHUNKED],
    ['transfer-encoding: CHUNKED \t', CHUNKED],
  ]
  for (const [field, length] of framings) {
    test(`${JSON.stringify(field)} is a body of ${length}`, () => {
      const text = `POST / HTTP/1.1\r\nHost: h\r\n${field === '' ? '' : `${field}\r\n`}\r\n`
      const whole = decodeRequests([bytes(text)])
      assert.equal(whole.error, null)
      if (length === 0) assert.equal(whole.messages[0]?.head.bodyLength, 0)
      else assert.equal(whole.partialBody, '')
    })
  }

  const lengths = [
    '',
    ' ',
    '+5',
    '-5',
    '-0',
    '5,5',
    '5, 5',
    '5 5',
    '0x5',
    '5e0',
    '5.0',
    '05',
    '00',
    'abc',
    '５',
  ]
  for (const value of [
    ...lengths,
    '\x0b5',
    '5;',
    '9007199254740992',
    '99999999999999999999',
    '"5"',
  ]) {
    test(`refuses Content-Length ${JSON.stringify(value)}`, () => {
      refused(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${value}\r\n\r\n`, INVALID)
    })
  }

  const codings = [
    '',
    'identity',
    'gzip',
    'xchunked',
    'chunkedx',
    'gzip, chunked',
    'chunked, gzip',
    ',chunked',
  ]
  for (const value of [
    ...codings,
    'chunked,',
    'chunked;q=1',
    '"chunked"',
    'chunked chunked',
    'chunked\x80',
  ]) {
    test(`refuses Transfer-Encoding ${JSON.stringify(value)}`, () => {
      refused(`POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ${value}\r\n\r\n`, INVALID)
    })
  }

  test('refuses framing that is said twice, in any order', () => {
    const both = ['Content-Length: 5', 'Transfer-Encoding: chunked']
    const pairs = [
      ['Content-Length: 5', 'Content-Length: 5'],
      ['Content-Length: 0', 'Content-Length: 0'],
      ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      both,
      both.toReversed(),
      ['Content-Length: 0', 'Transfer-Encoding: chunked'],
    ]
    for (const pair of pairs) {
      refused(`POST / HTTP/1.1\r\nHost: h\r\n${pair.join('\r\n')}\r\n\r\n`, INVALID)
    }
  })

  test('refuses chunked in HTTP/1.0, which cannot have it (§6.1)', () => {
    refused('POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', INVALID)
  })
})

describe('persistence (RFC 9112 §9.3)', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['1.1', '', true],
    ['1.1', 'Connection: close', false],
    ['1.1', 'connection: CLOSE', false],
    ['1.1', 'Connection: x, close', false],
    ['1.1', 'Connection: keep-alive, close', false],
    ['1.1', 'Connection: closed', true],
    ['1.1', 'Connection: ,, \t,', true],
    ['1.0', '', false],
    ['1.0', 'Connection: Keep-Alive', true],
    ['1.0', 'Connection: keep-alive\r\nConnection: close', false],
    ['1.0', 'Keep-Alive: timeout=5', false],
  ]
  for (const [version, field, keepAlive] of table) {
    test(`HTTP/${version} with ${JSON.stringify(field)} ${keepAlive ? 'goes on' : 'ends'}`, () => {
      const lines = field === '' ? '' : `${field}\r\n`
      assert.equal(
        accepted(`GET / HTTP/${version}\r\nHost: h\r\n${lines}\r\n`).keepAlive,
        keepAlive,
      )
    })
  }
})

describe('hop-by-hop fields (RFC 9110 §7.6.1)', () => {
  test('do not reach the map, nor do those that Connection names', () => {
    const { header } = accepted(
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Hop, te\r\nX-Hop: 1\r\nx-HOP: 2\r\nTE: trailers\r\n' +
        'Keep-Alive: x\r\nUpgrade: websocket\r\nHTTP2-Settings: x\r\nProxy-Connection: x\r\n' +
        'Proxy-Authorization: x\r\nConnection: X-Other\r\nX-Other: 3\r\nX-Kept: 4\r\n\r\n',
    )
    assert.deepEqual(
      [...header.headers],
      [
        ['Host', 'h'],
        ['X-Kept', '4'],
      ],
    )
  })

  test('named before or after they come', () => {
    const { header } = accepted(
      'GET / HTTP/1.1\r\nX-Hop: 1\r\nHost: h\r\nConnection: x-hop\r\n\r\n',
    )
    assert.deepEqual([...header.headers], [['Host', 'h']])
  })

  test('are never those that give the message its meaning', () => {
    const { header, bodyLength } = decodeRequests([
      bytes(
        'POST / HTTP/1.1\r\nHost: h\r\nConnection: host, content-length, cookie, authorization\r\n' +
          'Content-Length: 1\r\nCookie: a=1\r\nAuthorization: x\r\n\r\na',
      ),
    ]).messages[0]!.head
    assert.equal(bodyLength, 1)
    assert.equal(header.headers.size, 4)
  })

  test('are as many as there may be fields: each costs a search of them all', () => {
    const request = (...lines: readonly string[]): string =>
      `GET / HTTP/1.1\r\nHost: h\r\n${lines.join('\r\n')}\r\n\r\n`
    const names = (count: number): string => 'a,'.repeat(count - 1) + 'b'
    const decode = (text: string): string | null => decodeRequests([bytes(text)]).error
    assert.equal(decode(request(`Connection: ${names(128)}`)), null)
    assert.equal(decode(request(`Connection: ${names(129)}`)), INVALID)
    assert.equal(decode(request(`Connection: ${names(30_000)}`)), INVALID)
    assert.equal(decode(request(...Array<string>(100).fill('Connection: a'))), null)
    assert.equal(decode(request(`Connection: ${names(128)}`, 'Connection: c')), INVALID)
  })
})

describe('Expect and TE (RFC 9110 §10.1.1, §10.1.4)', () => {
  test('tell who waits for a 100, and who takes trailers', () => {
    const table: readonly (readonly [string, boolean, boolean])[] = [
      ['Expect: 100-continue', true, false],
      ['expect: 100-CONTINUE', true, false],
      ['Expect: 100-continued', false, false],
      ['TE: trailers', false, true],
      ['TE: gzip;q=0.5, Trailers', false, true],
      ['TE: trailers;q=1', false, true],
      ['TE: xtrailers', false, false],
      ['TE: gzip', false, false],
      ['TE: gzip\r\nTE: trailers', false, true],
    ]
    for (const [field, expectContinue, acceptsTrailers] of table) {
      const head = accepted(`GET / HTTP/1.1\r\nHost: h\r\n${field}\r\n\r\n`)
      assert.deepEqual(
        [head.expectContinue, head.acceptsTrailers],
        [expectContinue, acceptsTrailers],
        field,
      )
    }
    assert.equal(accepted('GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n').expectContinue, false)
  })
})

describe('empty lines before a request (RFC 9112 §2.2)', () => {
  test('are skipped, wherever they are cut', () => {
    assert.equal(accepted('\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n').header.method, 'GET')
    assert.equal(accepted('\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n').header.method, 'GET')
  })

  test('are refused when there is no end of them, or when they end with a bare LF', () => {
    refused('\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n', INVALID)
    refused('\nGET / HTTP/1.1\r\nHost: h\r\n\r\n', INVALID)
    refused('\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n', INVALID)
    refused('\r\n\rGET / HTTP/1.1\r\nHost: h\r\n\r\n', INVALID)
  })

  test('count anew for each request', () => {
    const request = '\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n'
    assert.equal(decodeText(request.repeat(3)).messages.length, 3)
  })
})

describe('a head that is parsed before it is known to be complete', () => {
  const head = 'POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length:  5 \r\nX-A: \r\n\r\n'

  test('is not taken while bytes are missing, whatever lies behind them in the buffer', () => {
    for (const stale of ['\r\n\r\n', 'X: y\r\n\r\n', '\0\0\0\0', ' HTTP/1.1\r\n\r\n', 'aaaa', '']) {
      for (let length = 0; length < head.length; length++) {
        const buffer = bytes(head.slice(0, length) + stale)
        assert.equal(parseRequestHead(buffer, 0, length), null, JSON.stringify([length, stale]))
      }
    }
  })

  test('ends where its empty line ends', () => {
    const parsed = parseRequestHead(bytes(`xx${head}hello`), 2, head.length + 7)
    assert.equal(parsed?.end, head.length + 2)
    assert.equal(parsed.bodyLength, 5)
    assert.equal(parsed.header.headers.toLines(), 'Host: h\r\nContent-Length: 5\r\nX-A: \r\n')
  })
})
