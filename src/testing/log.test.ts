import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LOG_LEVELS } from '../observability/index.js'
import { WorldLogger, logText } from './log.js'
import type { LogRecord } from './log.js'

describe('WorldLogger', () => {
  test('keeps lines of all levels as data, with the virtual time', () => {
    const records: LogRecord[] = []
    let nowMs = 0
    const logger = new WorldLogger(
      () => nowMs,
      (record) => records.push(record),
    )
    const levels = LOG_LEVELS.filter((level) => level !== 'silent')
    for (const level of levels) {
      logger[level]('said', { level })
      nowMs += 10
    }
    assert.deepEqual(
      records,
      levels.map((level, index) => ({
        atMs: index * 10,
        level,
        message: 'said',
        fields: { level },
      })),
    )
  })

  test('shows a line as text, without the stack, which differs from machine to machine', () => {
    const fields = { peer: '10.0.0.1:80', tries: 2, code: undefined, stack: 'at /home/…' }
    const text = logText({ atMs: 5, level: 'warn', message: 'no answer', fields })
    assert.equal(text, 'warn no answer peer=10.0.0.1:80 tries=2')
  })
})
