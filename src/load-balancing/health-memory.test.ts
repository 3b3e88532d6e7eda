import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SharedRegistry } from '../shared-memory/internal.js'
import { HealthMemory, READY } from './health-memory.js'
import type { HealthPlace } from './health-memory.js'

describe('HealthMemory', () => {
  test('never gives the same place to two backends, and grows no larger than it has to', () => {
    // What is allotted, and how many of the allotted are released again.
    const steps = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 20 })
    fc.assert(
      fc.property(steps, (list) => {
        const memory = new HealthMemory()
        const held = new Map<number, HealthPlace>()
        const given = new Set<string>()
        let most = 0
        for (const [allotted, released] of list) {
          for (let done = 0; done < allotted; done++) {
            const place = memory.allot()
            assert.ok(!held.has(place.slot))
            assert.equal(memory.flags[place.slot], place.tag | READY)
            assert.ok(!given.has(`${place.slot} ${place.tag}`))
            given.add(`${place.slot} ${place.tag}`)
            held.set(place.slot, place)
          }
          most = Math.max(most, held.size)
          for (const place of [...held.values()].slice(0, released)) {
            memory.release(place)
            held.delete(place.slot)
          }
        }
        assert.ok(memory.flags.length <= Math.max(16, 2 * most))
      }),
    )
  })

  test('goes over to shared memory as it is', () => {
    const memory = new HealthMemory()
    const places = Array.from({ length: 40 }, () => memory.allot())
    memory.flags[places[39]!.slot] = places[39]!.tag
    memory.streaks[places[3]!.slot] = 2
    memory.changed()
    const { version } = memory
    memory.moveTo(new SharedRegistry(), 'api')
    assert.equal(memory.version, version)
    assert.deepEqual(
      [memory.flags[places[0]!.slot], memory.flags[places[39]!.slot]],
      [places[0]!.tag | READY, places[39]!.tag],
    )
    assert.equal(memory.streaks[places[3]!.slot], 2)
    assert.ok(memory.flags.buffer instanceof SharedArrayBuffer)
  })

  test('has places for two sets of the most backends', () => {
    const memory = new HealthMemory()
    const slots = Array.from({ length: 2 * 65_535 }, () => memory.allot().slot)
    assert.equal(new Set(slots).size, 2 * 65_535)
    memory.moveTo(new SharedRegistry(), 'api')
  })
})
