import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { loadLibc } from '../../os/internal.js'
import { MemoryPool } from './memory-pool.js'

const libc = loadLibc()

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

describe('MemoryPool', { skip: libc === null && 'no libc here', timeout: 20_000 }, () => {
  test('gives what was given back last', () => {
    const pool = new MemoryPool(libc!, 4_096)
    const [first, second] = [pool.take(), pool.take()]
    assert.notEqual(first.address, second.address)
    pool.give(first)
    pool.give(second)
    assert.equal(pool.take(), second)
    assert.equal(pool.take(), first)
  })

  test('maps more when all is in use, and tells of it', () => {
    const pool = new MemoryPool(libc!, 65_536)
    const told: number[] = []
    pool.onMapped = ({ address }) => told.push(address)
    const pieces = Array.from({ length: 17 }, () => pool.take())
    assert.equal(new Set(pieces.map(({ address }) => address)).size, 17)
    assert.deepEqual(
      told,
      pool.ranges.map(({ address }) => address),
    )
    assert.equal(told.length, 2)
    for (const [index, { bytes }] of pieces.entries()) bytes.fill(index)
    assert.ok(pieces.every(({ bytes }, index) => bytes.every((byte) => byte === index)))
  })

  test('gets a piece back when all views of it have gone, and not before', async () => {
    const pool = new MemoryPool(libc!, 1024 * 1024)
    const views = new Set([lendOne(pool)])
    collectGarbage()
    await new Promise(setImmediate)
    assert.notEqual(pool.take().address, pool.ranges[0]!.address)
    assert.deepEqual([...views].map(String), ['kept'])
    views.clear()
    while (pool.take().address !== pool.ranges[0]!.address) {
      collectGarbage()
      await new Promise(setImmediate)
    }
  })
})

/** In a function of its own, so that no variable keeps the piece alive. */
function lendOne(pool: MemoryPool): Buffer {
  const piece = pool.take()
  piece.bytes.write('kept')
  pool.lend(piece)
  return piece.bytes.subarray(0, 4)
}
