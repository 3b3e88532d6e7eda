import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runSeeds } from './main.js'

describe('the simulation', () => {
  test('finds nothing wrong in 200 worlds', async () => {
    const { seeds, events } = await runSeeds({ from: 1, seeds: 200, checksDeterminism: false })
    assert.equal(seeds, 200)
    assert.ok(events > 100_000, `${events} events`)
  })

  test('goes the same way twice with the same seed', async () => {
    const { seeds } = await runSeeds({ from: 1_000_000, seeds: 10, checksDeterminism: true })
    assert.equal(seeds, 10)
  })
})
