import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SharedRegistry } from '../shared-memory/internal.js'
import { HealthMemory } from './health-memory.js'
import { HealthTable } from './health-table.js'

describe('HealthTable', () => {
  test('starts with every backend healthy and enabled', () => {
    const health = new HealthTable(2)
    assert.deepEqual([health.isReady(0), health.isReady(1)], [true, true])
  })

  test('has no ready backend beyond its size', () => {
    assert.equal(new HealthTable(1).isReady(1), false)
  })

  test('is ready only when healthy and enabled', () => {
    const health = new HealthTable(1)
    health.setEnabled(0, false)
    assert.deepEqual(
      [health.isHealthy(0), health.isEnabled(0), health.isReady(0)],
      [true, false, false],
    )
    health.observe(0, false, 1)
    health.setEnabled(0, true)
    assert.deepEqual(
      [health.isHealthy(0), health.isEnabled(0), health.isReady(0)],
      [false, true, false],
    )
    health.observe(0, true, 1)
    assert.equal(health.isReady(0), true)
  })

  test('has a new version exactly when a flag changes', () => {
    const health = new HealthTable(1)
    const start = health.version
    health.setEnabled(0, true)
    health.observe(0, true, 1)
    health.observe(0, false, 2)
    assert.equal(health.version, start)
    health.observe(0, false, 2)
    assert.notEqual(health.version, start)
  })

  test('flips as the model says: the latest n results in a row are opposite', () => {
    const results = fc.array(fc.boolean(), { maxLength: 60 })
    const threshold = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(results, threshold, threshold, (results, toHealthy, toUnhealthy) => {
        const health = new HealthTable(1)
        let healthy = true
        // The results since the last flip; only those at the end that oppose the health count.
        const since: boolean[] = []
        for (const result of results) {
          since.push(result)
          const needed = result ? toHealthy : toUnhealthy
          const streak: number = since.length - 1 - since.lastIndexOf(healthy)
          const flips: boolean = result !== healthy && streak >= needed
          if (flips) {
            healthy = result
            since.length = 0
          }
          assert.equal(health.observe(0, result, needed), flips)
          assert.equal(health.isHealthy(0), healthy)
        }
      }),
    )
  })

  test('takes a backend for gone when its place is another one’s', () => {
    const memory = new HealthMemory()
    const place = memory.allot()
    const before = new HealthTable(1, memory, [place])
    before.observe(0, false, 2)
    memory.release(place)
    const after = new HealthTable(1, memory)
    assert.equal(after.place(0).slot, place.slot)
    before.setEnabled(0, false)
    assert.deepEqual([before.isReady(0), before.isEnabled(0)], [false, false])
    assert.deepEqual([after.isReady(0), after.observe(0, false, 2)], [true, false])
  })

  test('is changed by all threads, none of which undoes what another one does', () => {
    const main = new SharedRegistry()
    const memories = [new HealthMemory(), new HealthMemory()]
    const place = memories[0]!.allot()
    memories[0]!.moveTo(main, 'api')
    memories[1]!.attachTo(SharedRegistry.import(main.export(1), { workerIndex: 1 }), 'api')
    const [here, there] = memories.map((memory) => new HealthTable(1, memory, [place]))
    const version = there!.version
    here!.observe(0, false, 1)
    assert.notEqual(there!.version, version)
    there!.setEnabled(0, false)
    here!.observe(0, true, 1)
    for (const table of [here!, there!]) {
      assert.deepEqual([table.isHealthy(0), table.isEnabled(0)], [true, false])
    }
  })
})
