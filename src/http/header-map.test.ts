/** Header maps keep names, order and bytes, and let nothing in that would become a second line. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { HeaderMap, isFieldValue, isToken, lowerCaseName } from './index.js'
import type { KnownFields } from './index.js'

function mapOf(...fields: readonly (readonly [string, string])[]): HeaderMap {
  const headers = new HeaderMap()
  for (const [name, value] of fields) headers.append(name, value)
  return headers
}

const REFUSED = { code: 'PGR_OPTION_INVALID' }

describe('HeaderMap', () => {
  test('finds fields whatever the case of their names (RFC 9110 §5.1)', () => {
    const headers = mapOf(['X-One', '1'], ['ETag', 'a'], ['x-oNE', '2'])
    assert.equal(headers.get('x-one'), '1')
    assert.equal(headers.get('X-ONE'), '1')
    assert.deepEqual(headers.getAll('X-one'), ['1', '2'])
    assert.equal(headers.has('etag'), true)
    assert.equal(headers.has('none'), false)
    assert.equal(headers.get('none'), undefined)
    assert.deepEqual(headers.getAll('none'), [])
    assert.equal(headers.size, 3)
  })

  test('does not take a value for a name', () => {
    const headers = mapOf(['a', 'b'], ['c', 'd'])
    assert.equal(headers.has('b'), false)
    assert.equal(headers.remove('d'), false)
  })

  test('keeps names as written and fields in order', () => {
    const headers = mapOf(['hOST', 'h'], ['B', '1'], ['a', '2'], ['b', '3'])
    assert.equal(headers.toLines(), 'hOST: h\r\nB: 1\r\na: 2\r\nb: 3\r\n')
    assert.deepEqual([...headers], [...headers.entries()])
  })

  test('sets a field in the place of the first one of that name, and drops the others', () => {
    const headers = mapOf(['A', '1'], ['B', '2'], ['a', '3'], ['C', '4'], ['A', '5'])
    headers.set('a', 'new')
    assert.equal(headers.toLines(), 'a: new\r\nB: 2\r\nC: 4\r\n')
  })

  test('sets a field that is new after the others', () => {
    const headers = mapOf(['A', '1'])
    headers.set('B', '2')
    assert.equal(headers.toLines(), 'A: 1\r\nB: 2\r\n')
  })

  test('removes all fields of a name, neighbours too', () => {
    const headers = mapOf(['a', '1'], ['A', '2'], ['b', '3'], ['a', '4'])
    assert.equal(headers.remove('A'), true)
    assert.equal(headers.remove('A'), false)
    assert.equal(headers.toLines(), 'b: 3\r\n')
  })

  test('clones into a map that changes alone', () => {
    const headers = mapOf(['a', '1'])
    const copy = headers.clone()
    copy.set('a', '2')
    copy.append('b', '3')
    assert.equal(headers.toLines(), 'a: 1\r\n')
    assert.equal(copy.toLines(), 'a: 2\r\nb: 3\r\n')
  })

  test('refuses names that are no tokens (RFC 9110 §5.6.2)', () => {
    const names = [
      '',
      ' ',
      'a b',
      'a:',
      'a\r\nb',
      'a\n',
      'a\0',
      'é',
      '(a)',
      'a/b',
      'a"',
      'a\t',
      '\x7f',
    ]
    for (const name of names) {
      assert.throws(() => mapOf([name, 'v']), REFUSED, JSON.stringify(name))
      assert.throws(() => {
        new HeaderMap().set(name, 'v')
      }, REFUSED)
    }
  })

  test('refuses a name that only becomes a common one in lower case', () => {
    // The Kelvin sign is lower-cased to k; as latin1 it would be written as an asterisk.
    assert.throws(() => mapOf(['Coo\u212aie', 'v']), REFUSED)
  })

  test('refuses values that would end the line or leave latin1 (RFC 9110 §5.5)', () => {
    const values = ['a\rb', 'a\nb', 'a\r\nX: y', '\0', '\x1f', '\x7f', 'ā', '\u{1f600}', '\u2028']
    for (const value of values) {
      assert.throws(() => mapOf(['X-A', value]), REFUSED, JSON.stringify(value))
      assert.throws(() => mapOf(['Host', value]), REFUSED)
      assert.throws(() => {
        new HeaderMap().set('X-A', value)
      }, REFUSED)
    }
    assert.throws(() => mapOf(['X-A', undefined as unknown as string]), REFUSED)
    assert.throws(() => mapOf(['X-A', 5 as unknown as string]), REFUSED)
  })

  test('refuses fields that the connection writes, in any case', () => {
    const headers = new HeaderMap()
    for (const name of [
      'Connection',
      'Keep-Alive',
      'transfer-encoding',
      'TRANSFER-ENCODING',
      'Upgrade',
    ]) {
      assert.throws(
        () => {
          headers.set(name, 'chunked')
        },
        { code: 'PGR_OPTION_INVALID' },
      )
      assert.throws(
        () => {
          headers.append(name, 'chunked')
        },
        { code: 'PGR_OPTION_INVALID' },
      )
    }
    assert.equal(headers.size, 0)
  })

  test('refuses a second Content-Length or Host, and lets one be replaced', () => {
    const headers = new HeaderMap()
    for (const name of ['Content-Length', 'Host']) {
      headers.append(name, '1')
      assert.throws(
        () => {
          headers.append(name.toLowerCase(), '1')
        },
        { code: 'PGR_OPTION_INVALID' },
      )
      headers.set(name, '2')
      assert.deepEqual(headers.getAll(name), ['2'])
    }
  })

  test('keeps no text of the lines that a change makes wrong', () => {
    const headers = HeaderMap.fromLines('A: 1\r\n', known({}))
    headers.addDate('now')
    assert.equal(headers.toLines(), 'A: 1\r\nDate: now\r\n')
    const copy = headers.clone()
    copy.remove('a')
    headers.append('B', '2')
    assert.equal(copy.toLines(), 'Date: now\r\n')
    assert.equal(headers.toLines(), 'A: 1\r\nDate: now\r\nB: 2\r\n')
    headers.set('a', '3')
    assert.equal(headers.toLines(), 'a: 3\r\nDate: now\r\nB: 2\r\n')
  })

  test('reads lines when it is asked for what is not known', () => {
    const lines = 'Host: host\r\nX-A: b: c\r\nEmpty: \r\nDate: d\r\n'
    const headers = HeaderMap.fromLines(lines, known({ host: 'host', hostAt: 0, hasDate: true }))
    assert.equal(headers.hasDate, true)
    assert.equal(headers.contentLength, undefined)
    assert.equal(headers.clone().toLines(), lines)
    assert.equal(headers.get('x-a'), 'b: c')
    assert.deepEqual([...headers].at(2), ['Empty', ''])
    assert.equal(headers.size, 4)
    assert.equal(headers.host, 'host')
    assert.equal(headers.hasDate, true)
  })

  test('tells of a Date that was added to lines nobody has read', () => {
    const headers = HeaderMap.fromLines('Host: h\r\n', known({ host: 'h', hostAt: 0 }))
    assert.equal(headers.hasDate, false)
    headers.addDate('now')
    assert.equal(headers.hasDate, true)
    assert.equal(headers.clone().hasDate, true)
    assert.equal(headers.toLines(), 'Host: h\r\nDate: now\r\n')
    assert.equal(headers.get('date'), 'now')
  })

  test('sets Host in lines nobody has read as it does in those that were read', () => {
    const before = 'Content-Length: 5\r\nX-A: a\r\n'
    for (const hostAt of [0, before.length]) {
      for (const host of ['', 'h', 'a-longer.test:8080']) {
        const line = `hOST: ${host}\r\n`
        const lines = hostAt === 0 ? line + before : before + line
        const facts = known({ host, hostAt, contentLength: '5' })
        for (const [name, value] of [
          ['Host', 'other.test'],
          ['host', ''],
          ['HOST', host],
        ] as const) {
          const unread = HeaderMap.fromLines(lines, facts)
          const read = HeaderMap.fromLines(lines, facts)
          assert.equal(read.size, 3)
          const original = unread.clone()
          for (const headers of [unread, read]) {
            headers.set(name, 'first.test')
            headers.set(name, value)
          }
          assert.equal(unread.toLines(), read.toLines())
          assert.equal(unread.host, value)
          assert.equal(unread.contentLength, '5')
          assert.deepEqual([...unread], [...read])
          assert.equal(original.toLines(), lines)
          assert.equal(original.host, host)
        }
      }
    }
  })

  test('sets Host where there are several, so that one is left', () => {
    const facts = known({ host: 'a', hostAt: -1 })
    const headers = HeaderMap.fromLines('Host: a\r\nX: y\r\nHost: b\r\n', facts)
    headers.set('Host', 'c')
    assert.equal(headers.toLines(), 'Host: c\r\nX: y\r\n')
  })

  test('changes nothing when it refuses', () => {
    const headers = mapOf(['a', '1'])
    assert.throws(() => {
      headers.set('a', 'x\r\ny')
    })
    assert.throws(() => {
      headers.append('a', 'x\ny')
    })
    assert.equal(headers.toLines(), 'a: 1\r\n')
  })

  test('never tells a value in the error', () => {
    assert.throws(
      () => mapOf(['Authorization', 'secret\r\n']),
      (error: Error) => !error.message.includes('secret'),
    )
  })

  test('takes tabs, obs-text and empty values', () => {
    const value = `\t~${String.fromCharCode(0x80, 0xff)}`
    assert.equal(mapOf(['X-A', value], ['X-B', '']).get('X-A'), value)
  })

  test('behaves like a list of pairs under any sequence of changes', () => {
    const name = fc.constantFrom('A', 'a', 'Accept', 'accept', 'X-Long-Name', 'x-long-name')
    const change = fc.record({ kind: fc.constantFrom('set', 'append', 'remove'), name })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const headers = new HeaderMap()
        let model: [string, string][] = []
        changes.forEach((step, index) => {
          const value = String(index)
          const same = (entry: [string, string]): boolean =>
            entry[0].toLowerCase() === step.name.toLowerCase()
          const first = model.findIndex(same)
          if (step.kind === 'append' || (step.kind === 'set' && first < 0)) {
            model.push([step.name, value])
          } else if (step.kind === 'set') {
            model[first] = [step.name, value]
            model = model.filter((entry, at) => at <= first || !same(entry))
          } else {
            model = model.filter((entry) => !same(entry))
          }
          if (step.kind === 'append') headers.append(step.name, value)
          else if (step.kind === 'set') headers.set(step.name, value)
          else headers.remove(step.name)
        })
        assert.deepEqual([...headers], model)
        assert.equal(headers.size, model.length)
      }),
    )
  })
})

function known(fields: Partial<KnownFields>): KnownFields {
  return { contentLength: undefined, hasDate: false, host: undefined, hostAt: -1, ...fields }
}

describe('isToken, isFieldValue and lowerCaseName', () => {
  test('agree with the grammar for every byte', () => {
    const tokenBytes = "!#$%&'*+-.^_`|~0123456789"
    for (let byte = 0; byte < 256; byte++) {
      const char = String.fromCharCode(byte)
      const letter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
      assert.equal(isToken(char), letter || tokenBytes.includes(char), `token ${byte}`)
      assert.equal(isFieldValue(char), byte === 9 || (byte >= 32 && byte !== 127), `value ${byte}`)
    }
    assert.equal(isToken(''), false)
    assert.equal(isFieldValue(''), true)
  })

  test('lower-case common and other names', () => {
    for (const name of ['Content-Length', 'content-length', 'CONTENT-length', 'X-Other', 'ETag']) {
      assert.equal(lowerCaseName(name), name.toLowerCase())
    }
  })
})
