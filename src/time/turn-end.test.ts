import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { eventTurn } from './event-turn.js'
import { TurnEnd } from './turn-end.js'

describe('TurnEnd', () => {
  test('takes what was added in order, once, at the end of the turn', async () => {
    const taken: number[] = []
    const turnEnd = new TurnEnd<number>((item) => taken.push(item))
    turnEnd.add(1)
    turnEnd.add(2)
    await Promise.resolve()
    assert.deepEqual(taken, [])
    await eventTurn()
    assert.deepEqual(taken, [1, 2])
    await eventTurn()
    assert.deepEqual(taken, [1, 2])
  })

  test('takes in the next turn what is added while it takes', async () => {
    const taken: number[] = []
    const turnEnd = new TurnEnd<number>((item) => {
      taken.push(item)
      if (item < 3) turnEnd.add(item + 1)
    })
    turnEnd.add(1)
    await eventTurn()
    assert.deepEqual(taken, [1])
    await eventTurn()
    assert.deepEqual(taken, [1, 2])
    await eventTurn()
    await eventTurn()
    assert.deepEqual(taken, [1, 2, 3])
  })
})
