/** Field lines (RFC 9112 §5), in requests, which take the same path as responses and trailers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodeRequests } from '../../../test/helpers/decode-stream.js'
import { bytes, forEachSplit } from '../../../test/helpers/splits.js'

/** The fields after `Host` of a request that has `lines`, or the code of its refusal. */
function fieldsOf(lines: string): string | (readonly [string, string])[] {
  const input = bytes(`GET / HTTP/1.1\r\nHost: h\r\n${lines}\r\n`)
  const whole = decodeRequests([input])
  forEachSplit(input, (pieces, how) => {
    assert.deepEqual(decodeRequests(pieces), whole, how)
  })
  if (whole.error !== null) return whole.error
  assert.equal(whole.messages.length, 1)
  return whole.messages[0]!.fields.slice(1)
}

describe('field syntax (RFC 9112 §5)', () => {
  const table: readonly (readonly [string, string, string])[] = [
    ['X-A: v', 'X-A', 'v'],
    ['X-A:v', 'X-A', 'v'],
    ['X-A:', 'X-A', ''],
    ['X-A: \t ', 'X-A', ''],
    ['X-A: \t v \t', 'X-A', 'v'],
    ['X-A: a  b\tc', 'X-A', 'a  b\tc'],
    ['X-A: a:b', 'X-A', 'a:b'],
    ['X-A: "a;\\"b"', 'X-A', '"a;\\"b"'],
    ["!#$%&'*+-.^_`|~0z: v", "!#$%&'*+-.^_`|~0z", 'v'],
    ['cOOKIE: v', 'cOOKIE', 'v'],
  ]
  for (const [line, name, value] of table) {
    test(`reads ${JSON.stringify(line)}`, () => {
      assert.deepEqual(fieldsOf(`${line}\r\n`), [[name, value]])
    })
  }

  test('passes obs-text byte by byte (RFC 9110 §5.5)', () => {
    const all = Array.from({ length: 128 }, (_, index) => String.fromCharCode(128 + index)).join('')
    assert.deepEqual(fieldsOf(`X-A: ${all}\r\n`), [['X-A', all]])
  })

  test('keeps order, case and repeats', () => {
    const fields = [
      ['b', '1'],
      ['A', '2'],
      ['B', '3'],
      ['a', '4'],
      ['Set-Cookie', '5'],
    ] as const
    assert.deepEqual(
      fieldsOf(fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')),
      fields,
    )
  })
})

describe('what is no field line', () => {
  const lines = [
    'X-A : v', // §5.1: blanks before the colon
    'X-A\t: v',
    'X-A', // no colon
    'X-A v',
    ': v', // no name
    ' X-A: v', // looks like a fold
    '\tX-A: v',
    'X A: v',
    'X-A[]: v',
    'X@: v',
    'X\x80: v',
    'X\0: v',
    '"X": v',
    'X-A: v\r\n folded', // §5.2: obs-fold
    'X-A: v\r\n\tfolded',
    'X-A:\r\n folded',
    'X-A: v\r\n ',
    'X-A: a\rb', // bare CR
    'X-A: a\r',
    'X-A\r: b',
    'X-A: a\nX-B: b', // bare LF
    'X-A: a\n',
    'X-A: a\n\r',
    'X-A: a\n\nX-B: b',
    '\rX-A: v',
    'X-A: v\r\n\rX-B: v',
  ]
  for (const line of lines) {
    test(`refuses ${JSON.stringify(line)}`, () => {
      assert.equal(fieldsOf(`${line}\r\n`), 'PGR_REQUEST_INVALID')
    })
  }

  test('refuses every control in a value but the tab', () => {
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 13 || byte === 10) continue
      const char = String.fromCharCode(byte)
      const input = bytes(`GET / HTTP/1.1\r\nHost: h\r\nX-A: a${char}b\r\n\r\n`)
      const allowed = byte === 9 || (byte >= 32 && byte !== 127)
      assert.equal(
        decodeRequests([input]).error,
        allowed ? null : 'PGR_REQUEST_INVALID',
        String(byte),
      )
    }
  })

  test('refuses every byte in a name that is not of a token', () => {
    const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z:]$/ // After a colon the value begins.
    for (let byte = 0; byte < 256; byte++) {
      const char = String.fromCharCode(byte)
      const input = bytes(`GET / HTTP/1.1\r\nHost: h\r\nX${char}Y: v\r\n\r\n`)
      const code = token.test(char) ? null : 'PGR_REQUEST_INVALID'
      assert.equal(decodeRequests([input]).error, code, String(byte))
    }
  })
})
