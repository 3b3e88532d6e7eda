import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RetryBuffer } from './retry-buffer.js'

describe('RetryBuffer', () => {
  test('keeps copies of what it is given, in order', () => {
    const buffer = new RetryBuffer(10)
    const memory = Buffer.from('abcdef')
    buffer.keep(memory, 0, 2)
    buffer.keep(memory, 3, 6)
    memory.fill('#')
    assert.equal(Buffer.concat(buffer.pieces).toString(), 'abdef')
    assert.equal(buffer.complete, true)
  })

  test('keeps exactly its limit, and lets all go beyond it', () => {
    const buffer = new RetryBuffer(4)
    buffer.keep(Buffer.from('abcd'), 0, 4)
    assert.deepEqual([buffer.complete, buffer.pieces.length], [true, 1])
    buffer.keep(Buffer.from('e'), 0, 1)
    assert.deepEqual([buffer.complete, buffer.pieces.length], [false, 0])
    buffer.keep(Buffer.from('f'), 0, 1)
    assert.deepEqual([buffer.complete, buffer.pieces.length], [false, 0])
  })
})
