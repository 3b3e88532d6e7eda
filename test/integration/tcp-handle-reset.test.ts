/** What only handles can tell: a reset from an end, when both come behind unread bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionPair, otherSocketsTurn } from '../helpers/connection-pair.js'
import { Recorder } from '../helpers/recorder.js'

for (const [bytes, kind] of [
  [100, 'fewer bytes than a read takes'],
  [4_096, 'exactly one read'],
  [100_000, 'several reads'],
] as const) {
  test(`a reset behind unread bytes is a reset, after ${kind}`, async (t) => {
    const { dialled, accepted } = await connectionPair(t)
    accepted.write(Buffer.alloc(bytes, 'x'))
    accepted.reset()
    // Only now does anybody read: data and reset are both there.
    await otherSocketsTurn(t)
    const reader = new Recorder(dialled, { keepsText: false })
    await reader.closed()
    assert.equal(reader.ended, false)
    assert.equal(reader.errorCode, 'ECONNRESET')
  })
}

test('an end behind unread bytes is an end', async (t) => {
  const { dialled, accepted } = await connectionPair(t)
  accepted.write(Buffer.alloc(100_000, 'x'))
  accepted.end()
  await otherSocketsTurn(t)
  const reader = new Recorder(dialled, { keepsText: false })
  await reader.until(() => reader.ended)
  assert.equal(reader.bytes, 100_000)
  assert.equal(reader.error, null)
})
