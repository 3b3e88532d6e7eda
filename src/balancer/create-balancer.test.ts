import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigDocument } from '../configuration/index.js'
import { Counters } from '../observability/index.js'
import { RecordingLogger } from '../../test/helpers/recording-logger.js'
import { scriptedEnvironment } from '../../test/helpers/scripted-network.js'
import { settle } from '../../test/helpers/settle.js'
import { createBalancer } from './create-balancer.js'
import { readBalancer } from './read-balancer.js'

describe('createBalancer', () => {
  test('checks all backends at once, so that one that hangs delays no other', async (t) => {
    const env = scriptedEnvironment()
    env.network.dialAnswers.set('10.0.0.1:80', 'hang')
    env.network.dialAnswers.set('10.0.0.2:80', 'refuse')
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
    const logger = new RecordingLogger()
    const started = checks.start({ env, configuration: conf, counters: new Counters(), logger })
    t.after(async () => {
      await checks.stop()
      await started
    })
    // No time passes: the first check hangs still.
    await settle()
    assert.equal(env.network.hanging, 1)
    assert.deepEqual(logger.lines, [
      'warn backend 10.0.0.2:80 becomes unhealthy: connection refused',
    ])
  })
})
