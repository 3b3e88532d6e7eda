import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ByteLog } from './byte-log.js'

describe('ByteLog', () => {
  test('keeps a copy of what is appended, in order', () => {
    const log = new ByteLog()
    const lent = Buffer.from('abcdef')
    log.append(lent, 3)
    lent.fill(0xaa)
    log.append(Buffer.from('XYZ'))
    assert.deepEqual([log.length, log.text()], [6, 'abcXYZ'])
    assert.deepEqual([log.text(2, 4), log.text(4), log.text(9)], ['cX', 'YZ', ''])
    assert.deepEqual([log.indexOf('X'), log.indexOf('a', 1)], [3, -1])
  })

  test('never changes what it handed out, however much comes', () => {
    const log = new ByteLog()
    log.append(Buffer.from('first'))
    const first = log.slice()
    for (let n = 0; n < 100; n++) log.append(Buffer.alloc(1_000, n))
    assert.equal(first.toString(), 'first')
    assert.equal(log.length, 100_005)
    assert.equal(log.slice(5 + 1_000 * 7)[0], 7)
  })
})
