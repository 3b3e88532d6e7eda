import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { serviceDiary } from '../../../test/helpers/service-diary.js'
import { loadLibc } from '../../os/internal.js'
import type { TestWorld } from '../../testing/index.js'
import { ServerConf } from '../server-conf.js'
import { WorkerHandle } from './worker-handle.js'

const ENTRY = new URL('../../../test/helpers/unready-worker.js', import.meta.url).href
const ADVICE = 'name the right one with runForever({ entry: import.meta.url })'
const skip = loadLibc() === null && 'no libc here'

describe('a worker that never comes to run()', { skip, timeout: 30_000 }, () => {
  test('is ended after ten seconds, with advice', async (t) => {
    const { world, worker } = start(t, 'idles')
    await world.advance(9_999)
    assert.equal(world.clock.pending, 1)
    await world.advance(1)
    await assert.rejects(worker.ready, (error: Error) => {
      assert.match(error.message, /worker 1: it did not come to run\(\) within 10 s; each thread/)
      return error.message.endsWith(ADVICE)
    })
    assert.equal((await worker.ended).wasReady, false)
    assert.equal(world.clock.pending, 0)
  })

  test('gets the same advice when it ends by itself', async (t) => {
    const { worker } = start(t, 'ends')
    await assert.rejects(worker.ready, (error: Error) => {
      assert.match(error.message, /worker 1: exit code 0 before its run\(\); each thread/)
      return error.message.endsWith(ADVICE)
    })
  })

  test('is heard to its last word', async (t) => {
    // Its end and its words come on two ways, of which now one is faster and now the other.
    const workers = Array.from({ length: 20 }, () => start(t, 'fails').worker)
    for (const { ready } of workers) await assert.rejects(ready, /worker 1: out of luck$/)
  })
})

interface Started {
  readonly world: TestWorld
  readonly worker: WorkerHandle
}

function start(t: TestContext, way: string): Started {
  const { world, context } = serviceDiary(t)
  const configuration = new ServerConf({ extra: { way } })
  const parts = { index: 1, threads: 1, entry: ENTRY, context: { ...context, configuration } }
  const worker = new WorkerHandle(parts)
  worker.ready.catch(() => undefined)
  t.after(() => worker.terminate())
  return { world, worker }
}
