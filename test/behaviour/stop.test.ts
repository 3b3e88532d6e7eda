import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { httpProxyService } from '../../src/proxy/index.js'
import type { HttpProxyService } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import { reply } from '../../src/testing/index.js'
import type { TestClient } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { UPSTREAM, testProxy, testWorld } from '../helpers/test-world.js'

const OK = reply(200, 'ok')

describe('a graceful stop', () => {
  test('is over at once when nothing is connected', async (t) => {
    const { world, proxy } = await testProxy(t)
    await proxy.stop()
    assert.equal(world.clock.nowMs(), 0)
    assert.equal((await proxy.get('/')).failure, 'refused')
  })

  test('closes idle clients and idle upstream connections at once', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const [used, fresh, begun] = [await proxy.client(), await proxy.client(), await proxy.client()]
    await used.get('/')
    begun.send('GET / HT')
    await world.idle()
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 3)
    await proxy.stop()
    assert.equal(world.clock.nowMs(), 0)
    assert.deepEqual(
      [used, fresh, begun].map(({ peer }) => [peer.ended, peer.rest]),
      [
        [true, ''],
        [true, ''],
        [true, ''],
      ],
    )
    assert.equal(upstream.open, 0)
  })

  test('lets a request in flight end, tells its client to go, and takes nobody new', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK.after(100))
    const client = await proxy.client()
    const exchange = client.get('/')
    await world.idle()
    const stop = proxy.stop()
    assert.equal((await proxy.get('/')).failure, 'refused')
    assert.equal(proxy.running.hasEnded, false)
    const { text, headers, tookMs } = await exchange
    assert.deepEqual([text, headers.get('Connection'), tookMs], ['ok', 'close', 100])
    await leaves(client)
    assert.equal(client.peer.errorCode, '')
    await stop
    assert.equal(world.clock.nowMs(), 100)
    assert.equal(upstream.open, 0)
  })

  test('lets a body in flight pass whole, and then closes', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'
    upstream.answer(reply.raw(`${head}ab`).followedBy(reply.raw('cd').after(100)))
    const client = await proxy.client()
    const exchange = client.get('/')
    await client.peer.untilText('ab')
    const stop = proxy.stop()
    assert.equal((await exchange).text, 'abcd')
    await leaves(client)
    await stop
    assert.equal(world.clock.nowMs(), 100)
  })

  test('lets an upload in flight pass whole', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const client = await proxy.client()
    const exchange = client.request({ method: 'POST', body: ['ab', 'cd'], everyMs: 100 })
    await world.idle()
    const stop = proxy.stop()
    assert.equal((await exchange).headers.get('Connection'), 'close')
    assert.equal(upstream.requests[0]?.text, 'abcd')
    await leaves(client)
    await stop
    assert.equal(world.clock.nowMs(), 100)
  })

  test('answers no request that waits behind the one in flight', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK.after(100))
    const client = await proxy.client()
    const exchanges = [client.get('/'), client.get('/')]
    await world.idle()
    const stop = proxy.stop()
    assert.equal((await exchanges[0])?.text, 'ok')
    const second = await exchanges[1]
    assert.deepEqual([second?.status, second?.failure], [0, 'ended'])
    await leaves(client)
    await stop
    assert.equal(world.clock.nowMs(), 100)
    assert.deepEqual([client.peer.rest, client.peer.errorCode], ['', ''])
    assert.equal(proxy.sessions.length, 1)
  })

  test('waits for a hook that is at work', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, {
      hooks: (it) => ({ requestFilter: () => it.sleep(10) }),
    })
    upstream.answer(OK)
    const exchange = proxy.get('/')
    await world.advance(9)
    const stop = proxy.stop()
    await world.idle()
    assert.equal(proxy.running.hasEnded, false)
    assert.equal((await exchange).text, 'ok')
    await stop
    assert.equal(world.clock.nowMs(), 10)
  })

  test('is over when the last client leaves by itself', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(reply.never())
    const client = await proxy.client()
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await world.idle()
    const stop = proxy.stop()
    await client.close()
    await stop
    assert.equal(world.clock.nowMs(), 0)
    assert.equal(upstream.open, 0)
  })

  test('may be asked for twice', async (t) => {
    const world = testWorld(t)
    world.upstream(UPSTREAM, { answer: OK.after(100) })
    const service = serviceTo(UPSTREAM)
    service.addTcp('10.0.0.254:80')
    await world.serve([service])
    const client = await world.client('10.0.0.254:80')
    const exchange = client.get('/')
    await world.idle()
    let over = 0
    const stops = [service.stop(), service.stop()].map((stop) => stop.then(() => over++))
    await world.advance(99)
    assert.equal(over, 0)
    assert.equal((await exchange).text, 'ok')
    await leaves(client)
    await world.run(Promise.all(stops))
    assert.equal(world.clock.nowMs(), 100)
  })

  test('asked for a second time by a signal is an immediate one', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK.after(100))
    const exchange = proxy.get('/')
    await world.idle()
    const stops = [proxy.stop(), proxy.stop()]
    await Promise.all(stops)
    assert.equal(world.clock.nowMs(), 0)
    assert.equal((await exchange).complete, false)
  })

  test('cuts what is not over when the grace period is', async (t) => {
    const conf = { gracePeriodSeconds: 30 }
    const { world, proxy, upstream } = await testProxy(t, { conf })
    upstream.answer(reply.never())
    const exchange = proxy.get('/')
    await world.idle()
    await proxy.stop()
    assert.equal(world.clock.nowMs(), 30_000)
    const { status, failure } = await exchange
    assert.deepEqual([status, failure], [0, 'ended'])
  })
})

describe('an immediate stop', () => {
  test('cuts everything at once, and each request is still logged', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const answer = reply(200, 'abcdefghi')
    upstream.answerNext(reply.never(), answer.cutAfter(answer.bytes.length - 6, 'stall'))
    const idle = await proxy.client()
    const waiting = proxy.get('/')
    const reading = proxy.get('/')
    await world.idle()
    await proxy.stop('immediate')
    assert.equal(world.clock.nowMs(), 0)
    assert.equal(idle.open, false)
    assert.equal(upstream.open, 0)
    assert.equal((await waiting).raw.length, 0)
    assert.deepEqual([(await reading).text, (await reading).complete], ['abc', false])
    assert.equal((await proxy.get('/')).failure, 'refused')
  })

  test('ends a graceful stop that waits', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(reply.never())
    const exchange = proxy.get('/')
    await world.idle()
    const stop = proxy.stop()
    await world.idle()
    assert.equal(proxy.running.hasEnded, false)
    await proxy.stop('immediate')
    await stop
    assert.equal(world.clock.nowMs(), 0)
    assert.equal((await exchange).complete, false)
  })
})

describe('a service', () => {
  test('says where it listens', async (t) => {
    const { world, proxy } = await testProxy(t, { listen: '10.0.0.254:0' })
    assert.match(proxy.address, /^10\.0\.0\.254:[1-9]\d*$/)
    assert.ok(world.log.some(({ message }) => message === `listening on ${proxy.address}`))
  })

  test('that listens nowhere is a mistake', async (t) => {
    const nowhere = { code: 'PGR_OPTION_INVALID' }
    const service = serviceTo(UPSTREAM)
    await assert.rejects(testWorld(t).serve([service], new ServerConf()), nowhere)
  })

  test('is told at once of an address that is none', () => {
    const invalid = { code: 'PGR_ADDRESS_INVALID' }
    assert.throws(() => {
      serviceTo(UPSTREAM).addListener('nonsense::1')
    }, invalid)
  })
})

/** Waits for the end of what the proxy sends, and then ends its own direction, as clients do. */
async function leaves({ peer }: TestClient): Promise<void> {
  await peer.untilEnded()
  peer.end()
}

function serviceTo(address: string): HttpProxyService<void> {
  const upstreamPeer = (): HttpPeer => new HttpPeer(address)
  return httpProxyService(new ServerConf(), { newCtx: () => {}, upstreamPeer })
}
