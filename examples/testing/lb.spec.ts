/** The test of `lb.test.ts` for vitest: only the imports, the clean-up and the assertions differ. */
import { LoadBalancer, TcpHealthCheck } from 'pingora-ts'
import { TestWorld } from 'pingora-ts/testing'
import { expect, onTestFinished, test } from 'vitest'
import { LB } from './lb.js'

test('a backend that dies is left out, and comes back', async () => {
  const world = new TestWorld()
  onTestFinished(() => world.close())
  const one = world.upstream('1.1.1.1:443', { tls: 'one.one.one.one' })
  const two = world.upstream('1.0.0.1:443', { tls: 'one.one.one.one' })
  const upstreams = await LoadBalancer.tryFromIter([one, two], { env: world.env })
  upstreams.setHealthCheck(new TcpHealthCheck())
  upstreams.healthCheckFrequencyMs = 1_000
  const proxy = await world.proxy(new LB(upstreams), { background: upstreams })
  const answers = async () => [(await proxy.get('/')).text, (await proxy.get('/')).text].sort()

  expect(await answers()).toEqual(['1.0.0.1:443', '1.1.1.1:443'])
  one.down()
  await world.advance(1_000) // the next round of health checks sees it
  expect(await answers()).toEqual(['1.0.0.1:443', '1.0.0.1:443'])
  one.up()
  await world.advance(1_000)
  expect(await answers()).toEqual(['1.0.0.1:443', '1.1.1.1:443'])
})
