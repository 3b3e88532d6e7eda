import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ManualClock } from '../time/index.js'
import { LineLogger } from './line-logger.js'
import { parseLogLevel } from './log-level.js'
import { pinoFileLogger } from './pino-logger.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

describe('LineLogger', () => {
  test('writes one readable line per entry, from its level on', () => {
    let text = ''
    const destination = { write: (line: string) => (text += line) }
    const logger = new LineLogger({ level: 'info', destination, clock: new ManualClock() })
    logger.debug('left out')
    logger.info('listening on 127.0.0.1:80')
    logger.error('failed', { peer: '10.0.0.1:80', reason: 'no route', tries: 2, cause: undefined })
    assert.equal(
      text,
      '2026-01-01T00:00:00.000Z INFO  listening on 127.0.0.1:80\n' +
        '2026-01-01T00:00:00.000Z ERROR failed peer=10.0.0.1:80 reason="no route" tries=2\n',
    )
  })

  test('lets no message forge a line or reach the terminal', () => {
    let text = ''
    const destination = { write: (line: string) => (text += line) }
    const logger = new LineLogger({ level: 'trace', destination, clock: new ManualClock() })
    logger.warn('a\nb\u001b[2J\u2028', { path: '\r\n' })
    assert.equal(text, '2026-01-01T00:00:00.000Z WARN  a\\x0ab\\x1b[2J\\x2028 path="\\r\\n"\n')
  })
})

describe('parseLogLevel', () => {
  test('reads levels in any case, synonyms, and the plain entry of a list', () => {
    const cases = [
      ['INFO', 'info'],
      ['off', 'silent'],
      ['warning', 'warn'],
      ['hyper=warn, debug', 'debug'],
      ['pingora=debug', undefined],
      ['', undefined],
      [undefined, undefined],
    ] as const
    for (const [text, level] of cases) assert.equal(parseLogLevel(text), level)
  })
})

describe('pinoFileLogger', () => {
  test('appends JSON lines, and goes on in a new file after it was moved away', (t) => {
    const directory = temporaryFolder(t)
    const path = join(directory, 'error.log')
    const logger = pinoFileLogger(path, 'warn')
    logger.info('left out')
    logger.warn('first', { peer: '10.0.0.1:80' })
    const { time, ...entry } = JSON.parse(readFileSync(path, 'utf8')) as { time: string }
    assert.ok(!Number.isNaN(Date.parse(time)))
    assert.deepEqual(entry, { level: 40, peer: '10.0.0.1:80', msg: 'first' })
    renameSync(path, `${path}.1`)
    logger.reopen()
    logger.error('second')
    assert.match(readFileSync(path, 'utf8'), /"msg":"second"/)
  })

  test('stays with the old file when the new one cannot be opened', (t) => {
    const directory = temporaryFolder(t)
    const path = join(directory, 'error.log')
    const logger = pinoFileLogger(path, 'info')
    const { descriptor } = logger
    renameSync(path, `${path}.1`)
    mkdirSync(path)
    assert.throws(() => {
      logger.reopen()
    }, /EISDIR/)
    assert.equal(logger.descriptor, descriptor)
    logger.info('still there')
    assert.match(readFileSync(`${path}.1`, 'utf8'), /"msg":"still there"/)
    rmSync(path, { recursive: true })
    logger.reopen()
    logger.info('moved on')
    assert.match(readFileSync(path, 'utf8'), /"msg":"moved on"/)
  })

  test('throws when the file cannot be opened', () => {
    assert.throws(() => pinoFileLogger('/nonexistent/error.log', 'info'))
  })
})
