import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { causedBy } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { HeaderMap, RequestHeader, ResponseHeader } from '../../http/index.js'
import { CHUNKED } from '../../protocols/index.js'
import {
  readRequestFields,
  readResponseFields,
  readTrailerFields,
  requestFields,
  responseFields,
  trailerFields,
} from './h2-fields.js'

const GET = [':method', 'GET', ':scheme', 'https', ':authority', 'a.example', ':path', '/x?y']

function refuses(code: ErrorCode, read: () => unknown): void {
  assert.throws(read, (error) => causedBy(error, code))
}

describe('the fields of a request', () => {
  test('become a head whose Host is the authority', () => {
    const { header, bodyLength, acceptsTrailers } = readRequestFields(
      [...GET, 'accept', '*/*'],
      true,
    )
    assert.deepEqual([header.method, header.target, header.version], ['GET', '/x?y', '2'])
    assert.deepEqual(
      [...header.headers],
      [
        ['host', 'a.example'],
        ['accept', '*/*'],
      ],
    )
    assert.equal(header.headers.host, 'a.example')
    assert.deepEqual([bodyLength, acceptsTrailers], [0, false])
    header.headers.set('Host', 'other')
    assert.equal(header.headers.toLines(), 'Host: other\r\naccept: */*\r\n')
  })

  test('say how long the body is', () => {
    const length = (...more: string[]): number =>
      readRequestFields([...GET, ...more], false).bodyLength
    assert.equal(length('content-length', '12'), 12)
    assert.equal(length(), CHUNKED)
    for (const value of ['', '-1', '+1', '01', '1, 1', '0x1', '99999999999999999999'])
      refuses('PGR_REQUEST_INVALID', () => length('content-length', value))
    refuses('PGR_REQUEST_INVALID', () => length('content-length', '1', 'content-length', '1'))
    refuses('PGR_REQUEST_INVALID', () => readRequestFields([...GET, 'content-length', '1'], true))
    assert.equal(readRequestFields([...GET, 'content-length', '0'], true).bodyLength, 0)
  })

  test('join the pieces of a cookie', () => {
    const { header } = readRequestFields([...GET, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'], true)
    assert.deepEqual(header.headers.getAll('cookie'), ['a=1; b=2'])
  })

  test('tell whether the client takes trailers', () => {
    const head = readRequestFields([...GET, 'te', 'trailers'], true)
    assert.equal(head.acceptsTrailers, true)
    assert.equal(head.header.headers.has('te'), false)
    refuses('PGR_REQUEST_INVALID', () => readRequestFields([...GET, 'te', 'gzip'], true))
  })

  test('may name the host twice, but not two hosts', () => {
    const { header } = readRequestFields([...GET, 'host', 'A.example'], true)
    assert.deepEqual(header.headers.getAll('host'), ['a.example'])
    refuses('PGR_REQUEST_INVALID', () => readRequestFields([...GET, 'host', 'b.example'], true))
    const withoutAuthority = [':method', 'GET', ':scheme', 'http', ':path', '/']
    assert.equal(
      readRequestFields([...withoutAuthority, 'host', 'b'], true).header.headers.host,
      'b',
    )
    refuses('PGR_REQUEST_INVALID', () => readRequestFields(withoutAuthority, true))
    refuses('PGR_REQUEST_INVALID', () =>
      readRequestFields([...withoutAuthority, 'host', 'b', 'host', 'c'], true),
    )
  })

  test('stay where they belong', () => {
    const { header } = readRequestFields([...GET, 'proxy-authorization', 'x'], true)
    assert.deepEqual([...header.headers], [['host', 'a.example']])
  })

  for (const [what, raw] of [
    ['no method', [':scheme', 'http', ':authority', 'a', ':path', '/']],
    [
      'a method that is no token',
      [':method', 'G T', ':scheme', 'http', ':authority', 'a', ':path', '/'],
    ],
    ['no path', [':method', 'GET', ':scheme', 'http', ':authority', 'a']],
    ['an empty path', [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '']],
    [
      'a path without slash',
      [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', 'x'],
    ],
    [
      'a blank in the path',
      [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '/ x'],
    ],
    [
      'a line break in the path',
      [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '/\r\nx'],
    ],
    [
      'an asterisk that is not for OPTIONS',
      [':method', 'GET', ':scheme', 'http', ':authority', 'a', ':path', '*'],
    ],
    ['no scheme', [':method', 'GET', ':authority', 'a', ':path', '/']],
    ['another scheme', [':method', 'GET', ':scheme', 'ftp', ':authority', 'a', ':path', '/']],
    [
      'user information in the authority',
      [':method', 'GET', ':scheme', 'http', ':authority', 'u@a', ':path', '/'],
    ],
    ['an empty authority', [':method', 'GET', ':scheme', 'http', ':authority', '', ':path', '/']],
    ['a pseudo-field twice', [...GET, ':path', '/']],
    ['an unknown pseudo-field', [':x', 'y', ...GET]],
    ['a status', [':status', '200', ...GET]],
    ['a pseudo-field behind others', [...GET, 'a', 'b', ':path', '/']],
    ['an upper-case name', [...GET, 'X-A', 'b']],
    ['a name that is no token', [...GET, 'x a', 'b']],
    ['an empty name', [...GET, '', 'b']],
    ['a line break in a value', [...GET, 'x-a', 'b\r\nc: d']],
    ['a NUL in a value', [...GET, 'x-a', 'b\0']],
    ['connection', [...GET, 'connection', 'close']],
    ['keep-alive', [...GET, 'keep-alive', '1']],
    ['proxy-connection', [...GET, 'proxy-connection', 'x']],
    ['transfer-encoding', [...GET, 'transfer-encoding', 'chunked']],
    ['upgrade', [...GET, 'upgrade', 'h2c']],
    ['http2-settings', [...GET, 'http2-settings', 'x']],
  ] as const) {
    test(`are refused with ${what}`, () => {
      refuses('PGR_REQUEST_INVALID', () => readRequestFields(raw, true))
    })
  }

  test('CONNECT is not allowed', () => {
    refuses('PGR_CONNECT_NOT_ALLOWED', () =>
      readRequestFields([':method', 'CONNECT', ':authority', 'a:1'], false),
    )
  })

  test('go out with the Host as the authority, and TE only where it was said', () => {
    const header = new RequestHeader('POST', '/p')
    header.insertHeader('Host', 'a.example')
    header.insertHeader('X-A', '1')
    header.appendHeader('x-a', '2')
    header.insertHeader('TE', 'gzip')
    const fields = requestFields(header, 'http', false)
    assert.deepEqual(
      { ...fields },
      {
        ':method': 'POST',
        ':path': '/p',
        ':scheme': 'http',
        ':authority': 'a.example',
        'x-a': ['1', '2'],
      },
    )
    assert.equal(requestFields(header, 'http', true).te, 'trailers')
  })
})

describe('the fields of a response', () => {
  test('become a head', () => {
    const raw = [':status', '404', 'set-cookie', 'a', 'set-cookie', 'b']
    const { header, bodyLength } = readResponseFields(raw, false, false)
    assert.deepEqual([header.status, header.reason, header.version], [404, 'Not Found', '2'])
    assert.deepEqual(header.headers.getAll('Set-Cookie'), ['a', 'b'])
    assert.equal(bodyLength, CHUNKED)
    assert.equal(
      readResponseFields([':status', '200', 'content-length', '5'], true, true).bodyLength,
      0,
    )
  })

  for (const [what, raw] of [
    ['no status', ['a', 'b']],
    ['a status that is none', [':status', '20']],
    ['101', [':status', '101']],
    ['a method', [':status', '200', ':method', 'GET']],
    ['connection', [':status', '200', 'connection', 'close']],
    ['a length without a body', [':status', '200', 'content-length', '5']],
  ] as const) {
    test(`are refused with ${what}`, () => {
      refuses('PGR_RESPONSE_INVALID', () => readResponseFields(raw, true, false))
    })
  }

  test('go out in lower case, repeated ones as lists, single ones once', () => {
    const headers = HeaderMap.fromLines(
      'X-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Type: t/a\r\nContent-Type: t/b\r\n' +
        'Content-Encoding: gzip\r\nContent-Encoding: br\r\n__proto__: x\r\n',
      { contentLength: undefined, hasDate: false, host: undefined, hostAt: -1 },
    )
    const fields = responseFields(new ResponseHeader(200, undefined, '1.1', headers))
    assert.deepEqual(Object.entries(fields), [
      [':status', 200],
      ['x-a', '1'],
      ['set-cookie', ['a', 'b']],
      ['content-type', 't/a'],
      ['content-encoding', 'gzip, br'],
      ['__proto__', 'x'],
    ])
  })
})

describe('trailers', () => {
  test('lose what must not come so late', () => {
    const trailers = readTrailerFields(
      ['grpc-status', '0', 'content-length', '5', 'host', 'a'],
      'PGR_RESPONSE_BODY_INVALID',
    )
    assert.deepEqual([...trailers!], [['grpc-status', '0']])
    assert.deepEqual({ ...trailerFields(trailers!) }, { 'grpc-status': '0' })
    assert.equal(readTrailerFields(['host', 'a'], 'PGR_RESPONSE_BODY_INVALID'), null)
  })

  test('have no pseudo-fields', () => {
    refuses('PGR_RESPONSE_BODY_INVALID', () =>
      readTrailerFields([':status', '200'], 'PGR_RESPONSE_BODY_INVALID'),
    )
  })
})
