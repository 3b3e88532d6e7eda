import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ManualClock } from '../time/index.js'
import { TicketKeys } from './ticket-keys.js'

const HOUR_MS = 3_600_000

describe('TicketKeys', () => {
  test('has 48 bytes that stay for 12 hours and never come again', () => {
    const clock = new ManualClock()
    const keys = new TicketKeys(clock)
    const seen = new Set<string>()
    for (let period = 0; period < 10; period++) {
      const key = keys.current()
      assert.equal(key.length, 48)
      seen.add(key.toString('hex'))
      clock.advanceTo(clock.nowMs() + 12 * HOUR_MS - 1)
      assert.equal(keys.current(), key)
      clock.advanceTo(clock.nowMs() + 1)
    }
    assert.equal(seen.size, 10)
    assert.notDeepEqual(new TicketKeys(clock).current(), keys.current())
  })

  test('who has the state has the same keys from then on, whenever it asks', () => {
    const clock = new ManualClock()
    const keys = new TicketKeys(clock)
    clock.advanceTo(30 * HOUR_MS)
    const { state } = keys
    const other = new TicketKeys(clock, state)
    assert.deepEqual(other.current(), keys.current())
    clock.advanceTo(300 * HOUR_MS)
    assert.deepEqual(new TicketKeys(clock, state).current(), keys.current())
    assert.deepEqual(other.current(), keys.current())
  })

  test('leaves alone what is no state, from the future, or too old to be true', () => {
    const clock = new ManualClock()
    const keys = new TicketKeys(clock)
    const before = keys.current()
    const period = Number(keys.state.split(' ')[0])
    const secret = Buffer.alloc(32, 1).toString('base64')
    for (const state of ['', 'x', `${period}`, `x ${secret}`, `${period} AAAA`]) keys.adopt(state)
    for (const other of [period + 1, period - 1_000, Infinity, -Infinity, NaN])
      keys.adopt(`${other} ${secret}`)
    assert.equal(keys.current(), before)
    keys.adopt(`${period} ${secret}`)
    assert.notDeepEqual(keys.current(), before)
  })

  test('a clock that is set back keeps the key', () => {
    const clock = new ManualClock()
    const keys = new TicketKeys(clock)
    clock.advanceTo(13 * HOUR_MS)
    const key = keys.current()
    clock.wallMs = () => 0
    assert.equal(keys.current(), key)
  })
})
