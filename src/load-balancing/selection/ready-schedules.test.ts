import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Backend } from '../backend.js'
import type { Readiness } from '../health-table.js'
import { ReadySchedules } from './ready-schedules.js'

describe('ReadySchedules', () => {
  test('show no state between, when one is made ready and another one not during the look', () => {
    const ready = [false, true]
    let [version, reads] = [0, 0]
    const readiness: Readiness = {
      get version() {
        return version
      },
      isReady(index) {
        const isReady = ready[index]!
        // What another thread does after the first look at the first backend.
        if (reads++ === 0) {
          for (const changed of [0, 1]) {
            ready[changed] = !ready[changed]
            version += 1
          }
        }
        return isReady
      },
    }
    const backends = [1, 2].map((port) => new Backend(`10.0.0.1:${port}`))
    const schedules = new ReadySchedules(backends, readiness)
    assert.deepEqual([schedules.ready.members, schedules.spare.members], [[0], [1]])
    assert.equal(reads, 4)
  })

  test('come to an end when the readiness changes without one', () => {
    let version = 0
    const readiness: Readiness = {
      get version() {
        return version++
      },
      isReady: () => true,
    }
    const schedules = new ReadySchedules([new Backend('10.0.0.1:80')], readiness)
    assert.deepEqual(schedules.ready.members, [0])
  })
})
