import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { socketsOfWorker } from './accept-mode.js'

/** For each worker, the sockets that it accepts on. */
function shares(mode: 'shared' | 'reuseport', threads: number, sockets: number): number[][] {
  return Array.from({ length: threads }, (_, worker) =>
    socketsOfWorker(mode, worker, threads, sockets),
  )
}

describe('the sockets of a worker', () => {
  test('are all of them when they are shared', () => {
    assert.deepEqual(shares('shared', 2, 1), [[0], [0]])
    assert.deepEqual(shares('shared', 2, 3), [
      [0, 1, 2],
      [0, 1, 2],
    ])
  })

  test('are its own with reuseport, and those that are over from an upgrade', () => {
    assert.deepEqual(shares('reuseport', 3, 3), [[0], [1], [2]])
    assert.deepEqual(shares('reuseport', 2, 5), [
      [0, 2, 4],
      [1, 3],
    ])
  })

  test('are shared with reuseport where there are fewer', () => {
    assert.deepEqual(shares('reuseport', 3, 1), [[0], [0], [0]])
    assert.deepEqual(shares('reuseport', 5, 2), [[0], [1], [0], [1], [0]])
  })
})
