import assert from 'node:assert/strict'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { START_REPORT, StartReport, parseStartOutcome } from './start-report.js'
import { temporaryFolder } from '../../../test/helpers/temporary-folder.js'

describe('StartReport', () => {
  test('sends the first outcome and no other, and leaves no listener', (t) => {
    const folder = temporaryFolder(t)
    const path = join(folder, 'pipe')
    const before = process.listenerCount('exit')
    const report = new StartReport(openSync(path, 'w'))
    report.failed('port\ntaken')
    report.ready()
    const text = readFileSync(path, 'utf8')
    assert.deepEqual(parseStartOutcome(text), { ready: false, failure: 'port\ntaken' })
    assert.equal(text.split('\n').length, 2)
    assert.equal(process.listenerCount('exit'), before)
  })

  test('is none in a process that no launcher started', () => {
    assert.equal(START_REPORT, null)
  })

  test('is read only once its line is complete', () => {
    assert.equal(parseStartOutcome(''), undefined)
    assert.equal(parseStartOutcome('{"ready":true}'), undefined)
    assert.deepEqual(parseStartOutcome('{"ready":true}\n'), { ready: true })
  })
})
