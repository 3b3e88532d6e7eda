import { connectionPair, otherSocketsTurn } from '../helpers/connection-pair.js'
import { testConnection, testResetBehindBytes } from '../helpers/contracts/connection.js'
import type { MakePair } from '../helpers/contracts/connection.js'

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
