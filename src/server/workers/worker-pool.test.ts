import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { serviceDiary } from '../../../test/helpers/service-diary.js'
import { NodeNetwork } from '../../transport/index.js'
import { WorkerPool } from './worker-pool.js'

describe('threads', () => {
  test('are refused on a network whose connections stay in their thread', async (t) => {
    const { context } = serviceDiary(t)
    const env = { ...context.env, network: new NodeNetwork({ io: 'handles' }) }
    const pool = new WorkerPool({ threads: 2, accept: 'deal', entry: import.meta.url })
    await assert.rejects(pool.start({ ...context, env }), {
      code: 'PGR_NOT_AVAILABLE',
      message:
        /threads above 1 need Linux, the package koffi, and a NodeNetwork without another io/,
    })
  })
})
