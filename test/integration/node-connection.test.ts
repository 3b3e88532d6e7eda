import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionPair, otherSocketsTurn } from '../helpers/connection-pair.js'
import { testConnection, testResetBehindBytes } from '../helpers/contracts/connection.js'
import type { MakePair } from '../helpers/contracts/connection.js'
import { Recorder } from '../helpers/recorder.js'

for (const io of ['ring', 'handles', 'sockets'] as const) {
  const makePair: MakePair = async (t) => {
    const uncaught: unknown[] = []
    const onUncaught = (error: unknown): void => {
      uncaught.push(error)
    }
    const pair = await connectionPair(t, { io, onUncaught })
    return { ...pair, uncaught, settle: () => otherSocketsTurn(t) }
  }
  testConnection(`a connection with ${io}`, makePair)
  // libuv shows a socket of `net` a reset behind unread bytes as an end.
  if (io !== 'sockets') testResetBehindBytes(`a reset connection with ${io}`, makePair)
}

for (const io of ['ring', 'handles'] as const) {
  test(`text written in one turn leaves in one piece, with ${io}`, async (t) => {
    const { dialled, accepted } = await connectionPair(t, { io })
    const reader = new Recorder(accepted)
    const sizes: number[] = []
    reader.onChunk = (_buffer, length) => sizes.push(length)
    assert.equal(dialled.write('first '), true)
    assert.equal(dialled.write('second'), true)
    assert.equal(dialled.pendingBytes, 0)
    await reader.until(() => reader.bytes === 12)
    assert.deepEqual(sizes, [12])
  })
}
