/** The quick start in a fake world: what a user's first test looks like. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestHeader } from '../http/index.js'
import { LoadBalancer, TcpHealthCheck } from '../load-balancing/index.js'
import type { ProxyHttp, Session } from '../proxy/index.js'
import { HttpPeer } from '../transport/index.js'
import { TestWorld } from './world.js'

/** As in `examples/load-balancer.ts`. */
class LB implements ProxyHttp<void> {
  readonly #upstreams: LoadBalancer
  constructor(upstreams: LoadBalancer) {
    this.#upstreams = upstreams
  }
  newCtx(): void {}
  upstreamPeer(): HttpPeer | undefined {
    const upstream = this.#upstreams.select('', 256)
    return upstream && new HttpPeer(upstream, { tls: true, sni: 'one.one.one.one' })
  }
  upstreamRequestFilter(_session: Session, upstreamRequest: RequestHeader): void {
    upstreamRequest.insertHeader('Host', 'one.one.one.one')
  }
}

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
  await world.advance(1_000) // The next round of health checks sees it.
  assert.deepEqual(await answers(), ['1.0.0.1:443', '1.0.0.1:443'])
  one.up()
  await world.advance(1_000)
  assert.deepEqual(await answers(), ['1.0.0.1:443', '1.1.1.1:443'])
})
