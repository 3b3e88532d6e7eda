import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  batchesOf,
  decodeBatch,
  decodeFromPingora,
  encodeBatch,
  encodeForPingora,
  startsBatch,
} from './handover-message.js'

const NAMES = ['0.0.0.0:80', '[::1]:443', 'unix:/run/a.sock']
const FAILED = { code: 'PGR_HANDOVER_FAILED' }

describe("Pingora's message", () => {
  test('has a blank between addresses, and unix sockets by their path', () => {
    const bytes = encodeForPingora(NAMES)
    assert.equal(bytes.toString(), '0.0.0.0:80 [::1]:443 /run/a.sock')
    assert.deepEqual(decodeFromPingora(bytes.toString()), NAMES)
    assert.equal(startsBatch(bytes.toString()), false)
  })

  test('is refused where it would not fit or be understood', () => {
    const many = (count: number) => Array.from({ length: count }, (_, at) => `127.0.0.1:${at + 10}`)
    assert.equal(encodeForPingora(many(32)).length, 32 * 13 - 1)
    for (const names of [many(33), [`unix:/${'x'.repeat(2_048)}`], ['unix:/a b']]) {
      assert.throws(() => encodeForPingora(names), FAILED)
    }
  })

  test('is refused where an address has several sockets, of which Pingora would keep one', () => {
    const message = /one socket for an address, and 0\.0\.0\.0:80 has several/
    assert.throws(() => encodeForPingora([...NAMES, NAMES[0]!]), { ...FAILED, message })
  })
})

describe('our message', () => {
  test('is one line for each batch', () => {
    for (const count of [1, 200, 201, 450]) {
      const names = Array.from({ length: count }, (_, index) => `unix:/a b/${index}\n.sock`)
      const lines = batchesOf(names).map((batch) => encodeBatch(batch).toString())
      for (const line of lines)
        assert.ok(startsBatch(line) && line.indexOf('\n') === line.length - 1)
      const decoded = lines.map((line) => decodeBatch(line))
      assert.deepEqual(
        decoded.flatMap((batch) => batch.names),
        names,
      )
      assert.deepEqual(
        decoded.map(({ more }) => more),
        decoded.map((_, index) => index < decoded.length - 1),
      )
      assert.ok(decoded.every((batch) => batch.names.length <= 200))
    }
  })

  test('says which listeners a supervisor keeps; one without that has none', () => {
    const [batch] = batchesOf(NAMES, new Set(['[::1]:443', 'unix:/elsewhere']))
    assert.deepEqual(decodeBatch(encodeBatch(batch!).toString()).supervised, ['[::1]:443'])
    assert.deepEqual(decodeBatch('{"names":["a"],"more":false}').supervised, [])
  })

  test('is refused when it is anything else', () => {
    const names = '"names":[]'
    for (const line of [
      '{',
      '{}',
      '{"names":[1],"more":false}',
      `{${names}}`,
      `{${names},"supervised":[1],"more":false}`,
      '[]',
      'null',
    ]) {
      assert.throws(() => decodeBatch(line), FAILED)
    }
  })
})
