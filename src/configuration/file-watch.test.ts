import assert from 'node:assert/strict'
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { ManualClock } from '../time/index.js'
import { FileWatch } from './file-watch.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

interface Watched {
  readonly clock: ManualClock
  readonly watch: FileWatch
  /** A path in the folder of the test. */
  readonly path: (name: string) => string
  changes: number
}

function watching(t: TestContext, names: readonly string[]): Watched {
  const folder = temporaryFolder(t)
  const path = (name: string): string => join(folder, name)
  const clock = new ManualClock()
  const watch = new FileWatch(clock, names.map(path), () => {
    watched.changes++
  })
  const watched: Watched = { clock, watch, path, changes: 0 }
  return watched
}

function advance(clock: ManualClock, ms: number): void {
  const endMs = clock.nowMs() + ms
  while (clock.runNext(endMs));
  clock.advanceTo(endMs)
}

describe('FileWatch', () => {
  test('tells a change within a second, once', (t) => {
    const watched = watching(t, ['a'])
    const { clock, watch, path } = watched
    watch.start()
    for (const change of [
      () => {
        writeFileSync(path('a'), 'new')
      },
      () => {
        writeFileSync(path('a'), 'longer')
      },
      () => {
        writeFileSync(path('b'), 'longer')
        renameSync(path('b'), path('a'))
      },
      () => {
        rmSync(path('a'))
      },
      () => {
        writeFileSync(path('c'), 'far')
        symlinkSync(path('c'), path('a'))
      },
      () => {
        writeFileSync(path('c'), 'elsewhere')
      },
    ]) {
      watched.changes = 0
      change()
      advance(clock, 999)
      assert.equal(watched.changes, 1, String(change))
      advance(clock, 5_000)
      assert.equal(watched.changes, 1, String(change))
    }
  })

  test('waits until nobody writes any more', (t) => {
    const watched = watching(t, ['a', 'b'])
    const { clock, watch, path } = watched
    watch.start()
    for (let step = 0; step < 5; step++) {
      writeFileSync(path('a'), 'x'.repeat(step + 1))
      advance(clock, 400)
      writeFileSync(path('b'), 'x'.repeat(step + 1))
      advance(clock, 400)
      assert.equal(watched.changes, 0)
    }
    advance(clock, 800)
    assert.equal(watched.changes, 1)
  })

  test('counts what changes between the construction and the start, and nothing after the stop', (t) => {
    const watched = watching(t, ['a'])
    const { clock, watch, path } = watched
    writeFileSync(path('a'), 'early')
    watch.start()
    advance(clock, 1_000)
    assert.equal(watched.changes, 1)
    writeFileSync(path('a'), 'too late')
    watch.stop()
    advance(clock, 10_000)
    assert.equal(watched.changes, 1)
    assert.equal(clock.pending, 0)
  })
})
