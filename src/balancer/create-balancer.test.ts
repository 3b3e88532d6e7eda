import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { logLines, testWorld } from '../../test/helpers/test-world.js'
import { ConfigDocument } from '../configuration/index.js'
import { createBalancer } from './create-balancer.js'
import { readBalancer } from './read-balancer.js'

describe('createBalancer', () => {
  test('checks all backends at once, so that one that hangs delays no other', async (t) => {
    const world = testWorld(t)
    const { env, logger, counters } = world
    world.upstream('10.0.0.1:80').blackhole()
    const { conf, settings } = readBalancer(
      new ConfigDocument(`
listeners: [{ address: '127.0.0.1:0' }]
upstreams:
  app:
    backends: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }]
    health_check: { type: tcp, timeout: 10s }
`),
    )
    const [checks] = await createBalancer(conf, settings, { env })
    assert.ok(checks)
    const started = checks.start({ env, configuration: conf, counters, logger })
    // No time passes: the first check hangs still.
    await world.idle()
    assert.ok(world.leftovers().includes('a dial of 10.0.0.1:80'))
    assert.deepEqual(logLines(world.log), [
      'warn backend 10.0.0.2:80 becomes unhealthy: connection refused',
    ])
    await world.run(Promise.all([checks.stop(), started]))
  })
})
