import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { simulate } from '../../src/testing/index.js'
import { runTunnels } from './tunnels.js'

describe('the simulation of tunnels', () => {
  test('finds nothing wrong in 300 worlds', async () => {
    const { seeds, events } = await simulate({ from: 1, seeds: 300, run: runTunnels })
    assert.equal(seeds, 300)
    assert.ok(events > 10_000, `${events} events`)
  })
})
