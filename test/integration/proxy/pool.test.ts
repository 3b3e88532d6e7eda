import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import type { RawPeer } from '../../helpers/raw-peer.js'
import { otherSocketsTurn } from '../../helpers/connection-pair.js'
import { PromiseGate } from '../../helpers/promise-gate.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi'

/** Sends a request and answers it on the upstream connection that it comes on. */
async function exchange(client: RawPeer, origin: RawPeer, answer: string = OK): Promise<void> {
  client.send(GET)
  await origin.request()
  origin.send(answer)
  assert.equal((await client.response()).status, 200)
}

describe('the pool of upstream connections', () => {
  test('serves requests of all clients over one connection, and counts that', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer(OK)
    for (let n = 0; n < 3; n++) {
      const client = await proxy.client()
      client.send(GET + GET)
      await client.response()
      await client.response()
    }
    assert.equal(proxy.upstream.peers.length, 1)
    assert.equal(proxy.counters.get('upstreamConnectionsOpened'), 1)
    assert.equal(proxy.counters.get('upstreamConnectionsReused'), 5)
    assert.deepEqual(
      proxy.logged.map(({ session }) => session.attempts[0]?.reused),
      [false, true, true, true, true, true],
    )
  })

  test('closes a connection after its idle time', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { peer: { idleTimeoutMs: 5_000 } })
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send(OK)
    await client.response()
    await proxy.untilLogged(1)
    proxy.pass(4_900)
    assert.equal(origin.ended, false)
    proxy.pass(100)
    await origin.untilEnded()
  })

  test('keeps no connection with an idle time of 0', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { peer: { idleTimeoutMs: 0 } })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET + GET)
    await client.response()
    await client.response()
    assert.equal(proxy.upstream.peers.length, 2)
  })

  test('keeps no more than it may', async (t) => {
    const proxy = await ProxyUnderTest.start(t, { options: { maxIdleUpstreams: 1 } })
    const [first, second] = [await proxy.client(), await proxy.client()]
    first.send(GET)
    const one = await proxy.upstream.next()
    second.send(GET)
    const two = await proxy.upstream.next()
    one.send(OK)
    await proxy.untilLogged(1)
    two.send(OK)
    await proxy.untilLogged(2)
    await one.untilEnded()
    assert.equal(two.ended, false)
  })

  test('drops an idle connection whose upstream speaks', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send(OK)
    await client.response()
    await proxy.untilLogged(1)
    origin.send('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n')
    await origin.untilEnded()
    assert.equal(proxy.counters.get('upstreamUnexpectedData'), 1)
    client.send(GET)
    const next = await proxy.upstream.next()
    next.send(OK)
    assert.equal((await client.response()).status, 200)
  })

  for (const how of ['end', 'reset'] as const) {
    test(`drops an idle connection whose upstream closes it (${how})`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(OK)
      await client.response()
      await proxy.untilLogged(1)
      origin[how]()
      await origin.untilClosed()
      client.send(POST)
      const next = await proxy.upstream.next()
      assert.equal((await next.request()).body, 'hi')
      next.send(OK)
      assert.equal((await client.response()).status, 200)
      assert.equal(proxy.counters.get('retries'), 0)
    })
  }

  /** Answers after which a connection is not clean, and what the client gets of them. */
  const unclean: readonly [string, string][] = [
    ['bytes after a body by length', `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    [
      'bytes after the last chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX',
    ],
    ['Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ]
  for (const [name, answer] of unclean) {
    test(`is not given a connection after ${name}`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(answer)
      assert.equal((await client.response()).body, 'ok')
      await origin.untilEnded()
      client.send(GET)
      const next = await proxy.upstream.next()
      next.send(OK)
      assert.equal((await client.response()).body, 'ok')
      assert.equal(client.rest, '')
    })
  }

  test('is not given a connection after a HEAD that was answered with a body', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send(OK)
    assert.equal((await client.response('HEAD')).status, 200)
    await origin.untilEnded()
    assert.equal(client.rest, '')
  })

  test('is given a connection of an HTTP/1.0 upstream that keeps it', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    const answer = 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'
    origin.send(answer)
    await client.response()
    await exchange(client, origin, answer)
    assert.equal(proxy.upstream.peers.length, 1)
  })

  test('is not given a connection on which the request was not complete', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab')
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\nab')
    origin.send(OK)
    assert.equal((await client.response()).status, 200)
    await origin.untilEnded()
    await client.untilEnded()
    assert.equal(client.errorCode, '')
  })

  for (const [what, act] of [
    [
      'speaks',
      (origin: RawPeer) => {
        origin.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
      },
    ],
    [
      'ends',
      (origin: RawPeer) => {
        origin.end()
      },
    ],
  ] as const) {
    test(`is not given a connection that ${what} while the end of the body is filtered`, async (t) => {
      const gate = new PromiseGate()
      const proxy = await ProxyUnderTest.start(t, {
        hooks: {
          responseBodyFilter: (_session, body) => (body === undefined ? gate.pass() : undefined),
        },
      })
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(OK)
      await gate.reached()
      act(origin)
      await otherSocketsTurn(t)
      gate.open()
      assert.equal((await client.response()).body, 'ok')
      await origin.untilEnded()
      client.send(POST)
      const next = await proxy.upstream.next()
      await next.request()
      next.send(OK)
      assert.equal((await client.response()).body, 'ok')
    })

    test(`finds out about a connection that ${what} while a hook is at work before the request`, async (t) => {
      const gate = new PromiseGate()
      const proxy = await ProxyUnderTest.start(t, {
        hooks: { connectedToUpstream: (_session, reused) => (reused ? gate.pass() : undefined) },
      })
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(OK)
      await client.response()
      client.send(POST)
      await gate.reached()
      act(origin)
      await otherSocketsTurn(t)
      gate.open()
      const next = await proxy.upstream.next()
      assert.equal((await next.request()).body, 'hi')
      next.send(OK)
      assert.equal((await client.response()).body, 'ok')
      assert.equal(proxy.counters.get('retries'), 1)
      assert.equal(client.rest, '')
    })
  }
})
