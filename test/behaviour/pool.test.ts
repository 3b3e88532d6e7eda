import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { Reply, TestPeer, TestRequest } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
/** What an upstream says that nobody asked for. */
const EVIL = reply(200, 'evil').bytes
/** Never sent twice, so that its answer shows whether the connection was fit for use. */
const POST: TestRequest = { method: 'POST', body: 'hi' }

describe('the pool of upstream connections', () => {
  test('serves requests of all clients over one connection, and counts that', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const reused: (boolean | undefined)[] = []
    for (let n = 0; n < 3; n++) {
      const client = await proxy.client()
      const exchanges = await Promise.all([client.get('/'), client.get('/')])
      reused.push(...exchanges.map(({ attempts }) => attempts[0]?.reused))
    }
    assert.deepEqual(reused, [false, true, true, true, true, true])
    assert.equal(upstream.connections.length, 1)
    assert.equal(world.counters.get('upstreamConnectionsOpened'), 1)
    assert.equal(world.counters.get('upstreamConnectionsReused'), 5)
  })

  test('closes a connection after its idle time', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, { peer: { idleTimeoutMs: 5_000 } })
    upstream.answer(OK)
    await proxy.get('/')
    await world.advance(4_999)
    assert.equal(upstream.open, 1)
    await world.advance(1)
    assert.equal(upstream.open, 0)
  })

  test('keeps no connection with an idle time of 0', async (t) => {
    const { proxy, upstream } = await testProxy(t, { peer: { idleTimeoutMs: 0 } })
    upstream.answer(OK)
    const client = await proxy.client()
    await client.get('/')
    await client.get('/')
    assert.equal(upstream.connections.length, 2)
    assert.equal(upstream.open, 0)
  })

  test('keeps no more than it may', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, { options: { maxIdleUpstreams: 1 } })
    upstream.answerNext(OK.after(10), OK.after(20))
    await Promise.all([proxy.get('/'), proxy.get('/')])
    await world.idle()
    const [first, second] = upstream.connections
    // The one that came back later is the likelier one to be alive.
    assert.deepEqual([first?.ended, second?.ended], [true, false])
  })

  test('drops an idle connection whose upstream speaks', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const client = await proxy.client()
    await client.get('/')
    upstream.connections[0]?.send(reply(408).bytes)
    await world.idle()
    assert.equal(upstream.open, 0)
    assert.equal(world.counters.get('upstreamUnexpectedData'), 1)
    const { status, attempts } = await client.get('/')
    assert.deepEqual([status, attempts[0]?.reused], [200, false])
  })

  for (const how of ['end', 'reset'] as const) {
    test(`drops an idle connection whose upstream closes it (${how})`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      upstream.answer(OK)
      const client = await proxy.client()
      await client.get('/')
      upstream.connections[0]?.[how]()
      await world.idle()
      assert.equal(upstream.open, 0)
      const { status, attempts } = await client.request(POST)
      assert.equal(status, 200)
      assert.deepEqual(
        attempts.map(({ reused }) => reused),
        [false],
      )
      assert.equal(upstream.requests[1]?.text, 'hi')
    })
  }

  /** Answers after which a connection is not clean. */
  const unclean: readonly [string, Reply][] = [
    ['bytes after a body by length', OK.followedBy(reply.raw(EVIL))],
    ['bytes after the last chunk', reply(200, 'ok', { chunked: true }).followedBy(reply.raw('X'))],
    ['Connection: close', reply(200, 'ok', { headers: { Connection: 'close' } })],
    ['HTTP/1.0', reply.raw('HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok')],
  ]
  for (const [name, answer] of unclean) {
    test(`is not given a connection after ${name}`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answerNext(answer, OK)
      const client = await proxy.client()
      assert.equal((await client.get('/')).text, 'ok')
      await upstream.connections[0]?.untilEnded()
      const { text, attempts } = await client.get('/')
      assert.deepEqual([text, attempts[0]?.reused], ['ok', false])
      assert.equal(client.peer.rest, '')
    })
  }

  test('is not given a connection after a HEAD that was answered with a body', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply.raw(OK.bytes))
    const client = await proxy.client()
    assert.equal((await client.request({ method: 'HEAD' })).status, 200)
    await upstream.connections[0]?.untilEnded()
    assert.equal(client.peer.rest, '')
  })

  test('is given a connection of an HTTP/1.0 upstream that keeps it', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok')
    await proxy.get('/')
    assert.equal((await proxy.get('/')).attempts[0]?.reused, true)
    assert.equal(upstream.connections.length, 1)
  })

  test('is not given a connection on which the request was not complete', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab')
    const origin = await upstream.next()
    await origin.untilText('\r\n\r\nab')
    origin.send(OK.bytes)
    assert.equal((await client.exchange('POST')).status, 200)
    await origin.untilEnded()
    await client.peer.untilEnded()
    assert.equal(client.peer.errorCode, '')
  })

  const acts: readonly [string, (origin: TestPeer | undefined) => void][] = [
    ['speaks', (origin) => origin?.send(EVIL)],
    ['ends', (origin) => origin?.end()],
  ]
  for (const [what, act] of acts) {
    test(`is not given a connection that ${what} while the end of the body is filtered`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, {
        hooks: (it) => ({
          responseBodyFilter: (_session, body) => (body === undefined ? it.sleep(10) : undefined),
        }),
      })
      upstream.answer(OK)
      const client = await proxy.client()
      world.clock.schedule(5, () => act(upstream.connections[0]))
      const { text, tookMs } = await client.get('/')
      assert.deepEqual([text, tookMs], ['ok', 10])
      await upstream.connections[0]?.untilEnded()
      const next = await client.request(POST)
      assert.deepEqual([next.text, next.attempts[0]?.reused], ['ok', false])
    })

    test(`finds out about a connection that ${what} while a hook is at work before the request`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, {
        hooks: (it) => ({
          connectedToUpstream: (_session, reused) => (reused ? it.sleep(10) : undefined),
        }),
      })
      upstream.answer(OK)
      const client = await proxy.client()
      await client.get('/')
      world.clock.schedule(5, () => act(upstream.connections[0]))
      const { text, attempts, counters } = await client.request(POST)
      assert.equal(text, 'ok')
      assert.deepEqual(
        attempts.map(({ reused }) => reused),
        [true, false],
      )
      assert.equal(counters['retries'], 1)
      assert.equal(upstream.requests[1]?.text, 'hi')
      assert.equal(client.peer.rest, '')
    })
  }
})
