import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nearestName } from './nearest-name.js'
import { formatSize, parseDurationMs, parseSizeBytes } from './units.js'

describe('units', () => {
  test('reads durations', () => {
    const cases = [
      ['500ms', 500],
      ['1s', 1_000],
      ['1.5s', 1_500],
      ['2m', 120_000],
      ['1h', 3_600_000],
      ['1 d', 86_400_000],
      ['0s', 0],
    ] as const
    for (const [text, ms] of cases) assert.equal(parseDurationMs(text), ms, text)
    for (const text of [
      '',
      '1',
      's',
      '-1s',
      '1S',
      '1e3s',
      '1s ',
      '1 sec',
      '1constructor',
      '999999999999999d',
    ]) {
      assert.equal(parseDurationMs(text), undefined, text)
    }
  })

  test('writes sizes with the largest unit of which they are whole', () => {
    const cases = ['0b', '1b', '1000b', '64kb', '1025b', '16mb', '1gb', '1025mb']
    for (const text of cases) assert.equal(formatSize(parseSizeBytes(text)!), text)
  })

  test('reads sizes', () => {
    const cases = [
      ['1b', 1],
      ['64kb', 65_536],
      ['10MB', 10_485_760],
      ['0.5gb', 536_870_912],
    ] as const
    for (const [text, bytes] of cases) assert.equal(parseSizeBytes(text), bytes, text)
    for (const text of ['', '1', 'kb', '1k', '-1kb'])
      assert.equal(parseSizeBytes(text), undefined, text)
  })
})

describe('nearestName', () => {
  test('finds what was meant, and nothing when nothing is near', () => {
    const known = ['threads', 'listeners', 'on', 'tls']
    assert.equal(nearestName('thread', known), 'threads')
    assert.equal(nearestName('LISTENERS', known), 'listeners')
    assert.equal(nearestName('tsl', ['tls']), undefined)
    assert.equal(nearestName('tl', known), 'tls')
    assert.equal(nearestName('access_log', known), undefined)
    assert.equal(nearestName('x'.repeat(100_000), known), undefined)
  })
})
