/** A client sends what it is told, when it is told, and reports what came back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ProxyHttp } from '../proxy/index.js'
import { HttpPeer, parseSocketAddress } from '../transport/index.js'
import type { PeerOptions } from '../transport/index.js'
import { reply } from './reply.js'
import type { ScriptedUpstream } from './scripted-upstream.js'
import { TestClient } from './test-client.js'
import type { TestProxy } from './test-proxy.js'
import { TestWorld } from './world.js'

interface Scene {
  readonly world: TestWorld
  readonly upstream: ScriptedUpstream
  readonly proxy: TestProxy
}

/** A proxy in front of one upstream. */
async function scene(
  t: TestContext,
  { peer, ...hooks }: Partial<ProxyHttp> & { peer?: PeerOptions } = {},
): Promise<Scene> {
  const world = newWorld(t)
  const upstream = world.upstream('10.0.0.1:80')
  const proxy = await world.proxy({
    newCtx: () => undefined,
    upstreamPeer: () => new HttpPeer('10.0.0.1:80', peer),
    ...hooks,
  })
  return { world, upstream, proxy }
}

function newWorld(t: TestContext): TestWorld {
  const world = new TestWorld()
  t.after(async () => {
    await world.close()
    assert.deepEqual(world.leftovers(), [])
  })
  return world
}

/** A client that talks to a scripted upstream without a proxy between them. */
async function direct(world: TestWorld, upstream: ScriptedUpstream): Promise<TestClient> {
  const address = parseSocketAddress(upstream.address)
  const connection = await world.run(world.network.dial(address, {}))
  return new TestClient(world, connection, () => undefined)
}

describe('a request for an upgrade', () => {
  test('is answered when the tunnel begins, whose ends are the two peers', async (t) => {
    const { world, upstream, proxy } = await scene(t)
    upstream.answer(reply.upgrade('chat').followedBy(reply.raw('welcome')))
    const client = await proxy.client()
    const { status, attempts, connectionOpen } = await client.get('/', { upgrade: 'chat' })
    assert.deepEqual([status, attempts[0]?.outcome, connectionOpen], [101, 'open', true])
    await client.peer.untilText('welcome')
    const [origin] = upstream.connections
    client.send('GET /no request HTTP/1.1\r\n\r\n')
    await origin?.untilText('/no request')
    assert.deepEqual([upstream.requests.length, client.peer.rest], [1, 'welcome'])
    client.peer.end()
    await client.peer.untilClosed()
    assert.equal(world.clock.nowMs(), 0)
    assert.equal(proxy.sessions[0]?.loggings, 1)
  })

  test('and CONNECT, whose 2xx begins one', async (t) => {
    const world = newWorld(t)
    const upstream = world.upstream('10.0.0.1:80')
    const proxy = await world.proxy(
      { newCtx: () => undefined, upstreamPeer: () => new HttpPeer('10.0.0.1:80') },
      { options: { allowConnect: true } },
    )
    upstream.answer('HTTP/1.1 200 OK\r\n\r\n')
    const client = await proxy.client()
    const answer = await client.request({ method: 'CONNECT', path: 'a.example:443' })
    assert.equal(answer.status, 200)
    client.peer.reset()
    await upstream.connections[0]?.untilClosed()
  })
})

describe('requests on one connection', () => {
  test('one after the other reuse it, each with its own hooks', async (t) => {
    const { upstream, proxy } = await scene(t, { connectedToUpstream: () => undefined })
    const client = await proxy.client({ from: '192.0.2.7' })
    const first = await client.get('/a')
    const second = await client.request({ method: 'POST', path: '/b', body: 'hello' })
    assert.match(client.address, /^192\.0\.2\.7:\d+$/)
    assert.deepEqual([first.status, first.text, first.connectionOpen], [200, '10.0.0.1:80', true])
    assert.deepEqual(
      second.hooks.map(({ name, detail }) => [name, detail]),
      [
        ['newCtx', undefined],
        ['upstreamPeer', undefined],
        ['connectedToUpstream', 'reused'],
      ],
    )
    assert.deepEqual(first.attempts, [{ peer: '10.0.0.1:80', reused: false, outcome: 'ok' }])
    assert.deepEqual(second.attempts, [{ peer: '10.0.0.1:80', reused: true, outcome: 'ok' }])
    assert.deepEqual(
      upstream.requests.map(({ method, target }) => `${method} ${target}`),
      ['GET /a', 'POST /b'],
    )
    assert.equal(upstream.requests[1]?.body.toString(), 'hello')
  })

  test('made without waiting are pipelined, and get their answers in order', async (t) => {
    const { upstream, proxy } = await scene(t)
    upstream.answer((request) => reply(200, request.target).after(request.target === '/a' ? 50 : 0))
    const client = await proxy.client()
    const exchanges = await Promise.all(['/a', '/b', '/c'].map((path) => client.get(path)))
    assert.deepEqual(
      exchanges.map(({ text, tookMs }) => [text, tookMs]),
      [
        ['/a', 50],
        ['/b', 50],
        ['/c', 50],
      ],
    )
    assert.equal(proxy.sessions.length, 3)
  })

  test('sent as raw bytes are read one by one', async (t) => {
    const { proxy } = await scene(t, {
      requestFilter: (session) => {
        session.respond(200, { body: session.reqHeader.target })
        return 'responded'
      },
    })
    const client = await proxy.client()
    const raw = 'HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n'
    const first = await client.request({ raw })
    const second = await client.exchange()
    assert.deepEqual([first.text, first.headers.get('content-length')], ['', '2'])
    assert.equal(second.text, '/b')
    assert.deepEqual(
      second.hooks.map(({ name }) => name),
      ['newCtx', 'requestFilter'],
    )
  })

  test('after one that is refused there are none: the connection is over', async (t) => {
    const { proxy } = await scene(t)
    const client = await proxy.client()
    const good = await client.get('/')
    const [bad, behind] = await Promise.all([
      client.request({ raw: 'no\r\n\r\n' }),
      client.get('/'),
    ])
    assert.equal(good.connectionOpen, true)
    assert.deepEqual([bad.status, bad.connectionOpen], [400, false])
    assert.deepEqual([bad.attempts, bad.hooks, bad.error], [[], [], undefined])
    assert.deepEqual(bad.counters['requestsRefused'], 1)
    assert.deepEqual([behind.status, behind.failure, behind.complete], [0, 'ended', false])
  })
})

describe('a request body', () => {
  test('in pieces comes at its pace, with its trailers', async (t) => {
    const { world, upstream, proxy } = await scene(t)
    const exchange = await proxy.request({
      method: 'POST',
      body: ['one', Buffer.from('two'), 'three'],
      everyMs: 100,
      trailers: { 'X-Sum': '11' },
    })
    const [request] = upstream.requests
    assert.equal(request?.body.toString(), 'onetwothree')
    assert.equal(request.trailers.get('x-sum'), '11')
    assert.equal(exchange.tookMs, 200)
    assert.equal(world.clock.nowMs(), 200)
  })

  test('holds up the request behind it, not the answer to it', async (t) => {
    const { upstream, proxy } = await scene(t)
    upstream.answer((request) => reply(200, request.body))
    const client = await proxy.client()
    const slow = client.request({ method: 'PUT', body: ['a', 'b'], everyMs: 10 })
    const [first, second] = await Promise.all([slow, client.get('/b')])
    assert.deepEqual([first.text, first.tookMs], ['ab', 10])
    assert.deepEqual([second.text, second.status], ['', 200])
  })

  test('waits for 100 (Continue), and is not sent after a final response', async (t) => {
    const { world, upstream, proxy } = await scene(t)
    const request = { method: 'PUT', body: 'data', expectContinue: true }
    upstream.answer(null)

    const accepted = proxy.request(request)
    const peer = await upstream.next()
    await peer.untilText('\r\n\r\n')
    assert.ok(!peer.text.includes('data'))
    peer.send('HTTP/1.1 100 Continue\r\n\r\n')
    await peer.untilText('data')
    peer.send('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
    const { status, interim } = await accepted
    assert.deepEqual([status, interim.map((response) => response.status)], [204, [100]])

    const refused = proxy.request(request)
    const other = await upstream.next()
    await other.untilText('\r\n\r\n')
    other.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
    assert.equal((await refused).status, 417)
    assert.ok(!other.text.includes('data'))
    assert.equal(world.clock.nowMs(), 0)
  })

  test('is sent after a second when nobody says that it may', async (t) => {
    const { upstream, proxy } = await scene(t)
    const exchange = await proxy.request({ method: 'PUT', body: 'data', expectContinue: true })
    assert.equal(exchange.tookMs, 1_000)
    assert.equal(upstream.requests[0]?.body.toString(), 'data')
  })
})

describe('an answer that is not whole', () => {
  test('in time is a timeout with what came', async (t) => {
    const { upstream, proxy } = await scene(t, { peer: { readTimeoutMs: 0 } })
    upstream.answer(reply(200, 'twelve bytes').cutAfter(45, 'stall'))
    const exchange = await proxy.get('/')
    assert.deepEqual(
      [exchange.failure, exchange.fault, exchange.tookMs],
      ['timeout', 'timeout in the body', 120_000],
    )
    assert.equal(exchange.status, 200)
    assert.ok('twelve bytes'.startsWith(exchange.text) && exchange.text !== '')
    assert.equal(exchange.complete, false)
    assert.deepEqual(
      exchange.attempts.map(({ outcome }) => outcome),
      ['open'],
    )
  })

  test('says whether it ended, was reset, or made no sense', async (t) => {
    const world = newWorld(t)
    const upstream = world.upstream('10.0.0.1:80')
    const answers = [
      [reply(200, 'abc', { contentLength: 9 }).cutAfter(40, 'end'), 'ended', 'ended in the body'],
      [reply(200, 'abc').cutAfter(10, 'reset'), 'reset', 'broken in the head'],
      [reply.close(), 'ended', 'no response came'],
      [reply.reset(), 'reset', 'no response came'],
    ] as const
    for (const [answer, failure, fault] of answers) {
      upstream.answer(answer)
      const client = await direct(world, upstream)
      const exchange = await client.get('/')
      assert.deepEqual([exchange.failure, exchange.fault], [failure, fault])
      assert.equal(exchange.complete, false)
      assert.equal(exchange.connectionOpen, false)
      await client.close()
    }
  })

  test('takes the answers behind it along when it is malformed', async (t) => {
    const world = newWorld(t)
    const upstream = world.upstream('10.0.0.1:80', { answer: reply.garbage() })
    const client = await direct(world, upstream)
    const exchanges = await Promise.all([client.get('/'), client.get('/')])
    assert.deepEqual(
      exchanges.map(({ failure, connectionOpen }) => [failure, connectionOpen]),
      [
        ['invalid', true],
        ['invalid', true],
      ],
    )
    assert.match(exchanges[0].fault, /^malformed: start line/)
    await client.close()
  })

  test('is said to be closed when the test itself closed the connection', async (t) => {
    const world = newWorld(t)
    const upstream = world.upstream('10.0.0.1:80', { answer: reply.never() })
    const client = await direct(world, upstream)
    const exchange = client.get('/')
    await world.idle()
    await client.close()
    assert.equal((await exchange).failure, 'closed')
  })
})
