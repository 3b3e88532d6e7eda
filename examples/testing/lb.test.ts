import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoadBalancer, TcpHealthCheck } from 'pingora-ts'
import { TestWorld } from 'pingora-ts/testing'
import { LB } from './lb.js'

test('a backend that dies is left out, and comes back', async (t) => {
  const world = new TestWorld()
  t.after(() => world.close())
  const one = world.upstream('1.1.1.1:443', { tls: 'one.one.one.one' })
  const two = world.upstream('1.0.0.1:443', { tls: 'one.one.one.one' })
  const upstreams = await LoadBalancer.tryFromIter([one, two], { env: world.env })
  upstreams.setHealthCheck(new TcpHealthCheck())
  upstreams.healthCheckFrequencyMs = 1_000
  const proxy = await world.proxy(new LB(upstreams), { background: upstreams })
  const answers = async () => [(await proxy.get('/')).text, (await proxy.get('/')).text].sort()

  assert.deepEqual(await answers(), ['1.0.0.1:443', '1.1.1.1:443'])
  one.down()
  await world.advance(1_000) // the next round of health checks sees it
  assert.deepEqual(await answers(), ['1.0.0.1:443', '1.0.0.1:443'])
  one.up()
  await world.advance(1_000)
  assert.deepEqual(await answers(), ['1.0.0.1:443', '1.1.1.1:443'])
})
