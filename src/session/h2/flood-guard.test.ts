import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FloodGuard } from './flood-guard.js'
import { H2_LIMITS } from './h2-server-options.js'

const LIMITS = {
  ...H2_LIMITS,
  initialWindowBytes: 100,
  resetBurst: 3,
  resetsPerSecond: 1,
  idleFrameBurst: 5,
  idleFramesPerSecond: 2,
  overheadBurstBytes: 1_000,
  overheadBytesPerSecond: 10,
}

function guard(): FloodGuard {
  return new FloodGuard(LIMITS, 200, 0)
}

test('counts the streams that a request passes over as broken off', () => {
  const account = guard()
  assert.equal(account.opened(1, 0), true)
  assert.equal(account.opened(3, 0), true)
  assert.equal(account.opened(7, 0), true)
  assert.equal(account.opened(13, 0), true)
  assert.equal(account.brokenOff(0), false)
  assert.equal(account.brokenOff(1_000), true)
  assert.equal(account.lastStream, 13)
})

test('lets pings come in a row, as time brings them, and anew behind what is worth its frames', () => {
  const account = guard()
  const pings = (nowMs: number): number => {
    let count = 0
    while (account.idleFrame(nowMs)) count++
    return count
  }
  assert.equal(pings(0), 5)
  assert.equal(pings(1_000), 2)
  account.progressed()
  assert.equal(pings(1_000), 5)
})

test('holds what came for nothing against what was carried', () => {
  const account = guard()
  assert.equal(account.balances(1_000, 0, 0), true)
  assert.equal(account.balances(1_001, 0, 0), false)
  // A request pays for its head and one window; bodies pay for themselves, also when they are over.
  account.opened(1, 0)
  assert.equal(account.balances(1_301, 0, 0), true)
  assert.equal(account.balances(6_301, 5_000, 0), true)
  account.closed(5_000)
  assert.equal(account.balances(6_301, 0, 0), true)
  assert.equal(account.balances(6_302, 0, 0), false)
  assert.equal(account.balances(6_312, 0, 1_000), true)
})
