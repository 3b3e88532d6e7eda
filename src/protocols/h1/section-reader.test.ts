/** Sections: where they end, what is copied, and what is refused before they end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bytes } from '../../../test/helpers/splits.js'
import { NEED_MORE, REQUEST_LIMITS, SectionReader, requestSectionLimits } from './index.js'

const LIMITS = requestSectionLimits(REQUEST_LIMITS)
const SECTION = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'

describe('SectionReader', () => {
  test('leaves a section that comes in one read where it is', () => {
    const reader = new SectionReader(LIMITS)
    const buffer = bytes(`junk${SECTION}more`)
    const end = 4 + SECTION.length
    assert.equal(reader.feed(buffer, 4, buffer.length), end)
    assert.equal(reader.buffer, buffer)
    assert.deepEqual([reader.start, reader.end, reader.begun], [4, end, false])
  })

  test('gathers a section that comes in several reads, and tells the position in the last one', () => {
    const reader = new SectionReader(LIMITS)
    assert.equal(reader.feed(bytes(SECTION.slice(0, 10)), 0, 10), NEED_MORE)
    assert.equal(reader.begun, true)
    const last = bytes(`..${SECTION.slice(10)}GET /next`)
    assert.equal(reader.feed(last, 2, last.length), 2 + SECTION.length - 10)
    assert.equal(reader.buffer.toString('latin1', reader.start, reader.end), SECTION)
    assert.equal(reader.begun, false)
  })

  test('has not begun while only empty lines have come (RFC 9112 §2.2)', () => {
    const reader = new SectionReader(LIMITS)
    assert.equal(reader.feed(bytes('\r\n'), 0, 2), NEED_MORE)
    assert.equal(reader.begun, false)
    assert.equal(reader.feed(bytes('\r'), 0, 1), NEED_MORE)
    assert.equal(reader.feed(bytes('\n'), 0, 1), NEED_MORE)
    assert.equal(reader.begun, false)
  })

  test('reads section after section', () => {
    const reader = new SectionReader(LIMITS)
    for (let round = 0; round < 3; round++) {
      for (const byte of SECTION.slice(0, -1))
        assert.equal(reader.feed(bytes(byte), 0, 1), NEED_MORE)
      assert.equal(reader.feed(bytes('\n'), 0, 1), 1)
      assert.equal(reader.end - reader.start, SECTION.length)
      const whole = bytes(SECTION)
      assert.equal(reader.feed(whole, 0, whole.length), whole.length)
    }
  })

  test('refuses at once what can never become a section', () => {
    for (const text of [
      '\0',
      'GET /\x01',
      '\x16\x03\x01',
      'GET / HTTP/1.1\r\nA: \x7f',
      'a\rb',
      'a\n',
      '\n',
    ]) {
      const reader = new SectionReader(LIMITS)
      assert.throws(
        () => reader.feed(bytes(text), 0, text.length),
        { code: 'PGR_REQUEST_INVALID' },
        text,
      )
    }
  })

  test('refuses at once a CR whose LF does not come in the next read', () => {
    const reader = new SectionReader(LIMITS)
    assert.equal(reader.feed(bytes('GET / HTTP/1.1\r'), 0, 15), NEED_MORE)
    assert.throws(() => reader.feed(bytes('H'), 0, 1), { code: 'PGR_REQUEST_INVALID' })
  })

  test('looks at each byte once, however it comes', () => {
    const text = `GET / HTTP/1.1\r\nHost: h\r\nX-A: ${'a'.repeat(60_000)}\r\n\r\n`
    const reader = new SectionReader(LIMITS)
    const begun = process.cpuUsage()
    for (const byte of text.slice(0, -1)) reader.feed(bytes(byte), 0, 1)
    assert.equal(reader.feed(bytes('\n'), 0, 1), 1)
    // Looking at all bytes for every byte would take seconds.
    assert.ok(process.cpuUsage(begun).user < 1_000_000)
  })
})
