import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ForwardingLogger, MAX_UNWRITTEN } from './forwarding-logger.js'
import type { LogEntry } from './forwarding-logger.js'

describe('a log that another thread writes', () => {
  test('leaves entries out while too many wait, and says how many', () => {
    const unwritten = new Int32Array(1)
    const handed: LogEntry[] = []
    const logger = new ForwardingLogger('info', unwritten, (entry) => handed.push(entry))
    for (let line = 0; line < MAX_UNWRITTEN + 7; line++) logger.info(`line ${line}`)
    assert.equal(handed.length, MAX_UNWRITTEN)
    assert.equal(unwritten[0], MAX_UNWRITTEN)
    unwritten[0] = 10
    logger.info('after', { a: 1 })
    assert.deepEqual(handed.slice(MAX_UNWRITTEN), [
      {
        level: 'warn',
        message: 'the log could not be written as fast as a worker logged; lines were left out',
        fields: { lines: 7 },
      },
      { level: 'info', message: 'after', fields: { a: 1 } },
    ])
    assert.equal(unwritten[0], 12)
  })

  test('does not hand on what is below its level', () => {
    const handed: LogEntry[] = []
    const logger = new ForwardingLogger('warn', new Int32Array(1), (entry) => handed.push(entry))
    logger.trace('t')
    logger.debug('d')
    logger.info('i')
    logger.warn('w')
    logger.error('e')
    assert.deepEqual(
      handed.map(({ message }) => message),
      ['w', 'e'],
    )
  })
})
