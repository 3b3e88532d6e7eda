import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionPair, otherSocketsTurn } from '../helpers/connection-pair.js'
import { testConnection, testResetBehindBytes } from '../helpers/contracts/connection.js'
import type { MakePair } from '../helpers/contracts/connection.js'
import { Recorder } from '../helpers/recorder.js'

for (const usesHandles of [false, true]) {
  const makePair: MakePair = async (t) => {
    const uncaught: unknown[] = []
    const onUncaught = (error: unknown): void => {
      uncaught.push(error)
    }
    const pair = await connectionPair(t, { usesHandles, onUncaught })
    return { ...pair, uncaught, settle: () => otherSocketsTurn(t) }
  }
  testConnection(`a ${usesHandles ? 'handle' : 'socket'} connection`, makePair)
  // libuv shows a socket of `net` a reset behind unread bytes as an end.
  if (usesHandles) testResetBehindBytes('a handle connection that was reset', makePair)
}

test('text that a handle connection gets in one turn leaves in one write', async (t) => {
  const { dialled, accepted } = await connectionPair(t, { usesHandles: true })
  const reader = new Recorder(accepted)
  const sizes: number[] = []
  reader.onChunk = (_buffer, length) => sizes.push(length)
  assert.equal(dialled.write('first '), true)
  assert.equal(dialled.write('second'), true)
  assert.equal(dialled.pendingBytes, 0)
  await reader.until(() => reader.bytes === 12)
  assert.deepEqual(sizes, [12])
})
