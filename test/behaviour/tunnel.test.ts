import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { TestPeer } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld, ProxySetup } from '../helpers/test-world.js'

const MIB = 1024 * 1024
const CONNECT = 'CONNECT example.com:443 HTTP/1.1\r\nHost: other\r\n\r\n'
/** The default of `tunnelTimeoutMs`, and the step of the wheel. */
const IDLE_MS = 300_000
const STEP_MS = 50

interface OpenTunnel extends ProxyInWorld {
  readonly client: TestPeer
  readonly origin: TestPeer
}

async function tunnel(t: TestContext, setup: ProxySetup = {}): Promise<OpenTunnel> {
  const inWorld = await testProxy(t, setup)
  const { peer: client } = await inWorld.proxy.client()
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n')
  const origin = await inWorld.upstream.next()
  await origin.request()
  origin.send('HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n')
  assert.equal((await client.response()).status, 101)
  return { ...inWorld, client, origin }
}

describe('a tunnel', () => {
  for (const first of ['client', 'origin'] as const) {
    test(`goes on in one direction when the ${first} has ended the other`, async (t) => {
      const open = await tunnel(t)
      const second = first === 'client' ? 'origin' : 'client'
      open[first].end('last words')
      await open[second].untilText('last words')
      await open[second].untilEnded()
      await open.world.advance(1_000)
      open[second].send('still here')
      await open[first].untilText('still here')
      assert.equal(open.proxy.sessions[0]?.loggings, 0)
      open[second].end()
      await open[first].untilEnded()
      await open.world.idle()
      assert.equal(open.proxy.sessions[0].loggings, 1)
      assert.deepEqual(
        [open.proxy.sessions[0].error, open[first].errorCode, open[second].errorCode],
        [undefined, '', ''],
      )
    })

    test(`that the ${first} resets is reset on the other side`, async (t) => {
      const open = await tunnel(t)
      const second = first === 'client' ? 'origin' : 'client'
      open[first].reset()
      await open[second].untilClosed()
      assert.equal(open[second].errorCode, 'ECONNRESET')
      const code = first === 'client' ? 'PGR_DOWNSTREAM_CLOSED' : 'PGR_UPSTREAM_READ_FAILED'
      assert.equal(open.proxy.sessions[0]?.error?.code, code)
      assert.equal(open.world.counters.get('tunnelsOpen'), 0)
    })

    test(`holds little while the ${first} does not read, and loses nothing`, async (t) => {
      const open = await tunnel(t)
      const second = first === 'client' ? 'origin' : 'client'
      open[first].keepsBytes = false
      open[first].pause()
      open[second].end(Buffer.alloc(64 * MIB))
      await open.world.idle()
      const held = [...open.world.network.open]
        .filter(({ digest }) => digest.localAddress !== open[second].connection.digest.localAddress)
        .reduce((sum, { pendingBytes }) => sum + pendingBytes, 0)
      assert.ok(held <= MIB, `${held} bytes wait in the proxy`)
      // The other direction is not held up.
      open[first].send('meanwhile')
      await open[second].untilText('meanwhile')
      open[first].resume()
      await open[first].untilEnded(60_000)
      assert.ok(open[first].bytes >= 64 * MIB)
      open[first].end()
      await open[second].untilClosed()
    })

    test(`whose ${first} reads nothing for too long is cut, whatever it sends`, async (t) => {
      const open = await tunnel(t)
      const second = first === 'client' ? 'origin' : 'client'
      open[first].pause()
      open[second].send(Buffer.alloc(16 * MIB))
      await open.world.idle()
      for (let ms = 0; ms <= IDLE_MS && !open[second].closed; ms += 60_000) {
        open[first].send('x')
        await open.world.advance(60_000)
      }
      const code =
        first === 'client' ? 'PGR_DOWNSTREAM_WRITE_TIMEOUT' : 'PGR_UPSTREAM_WRITE_TIMEOUT'
      assert.equal(open.proxy.sessions[0]?.error?.code, code)
      assert.equal(open[second].errorCode, 'ECONNRESET')
      open[first].resume()
      await open[first].untilClosed(1_000)
    })
  }

  test('sends all that is on its way up before it is over', async (t) => {
    const { client, origin, proxy } = await tunnel(t)
    origin.keepsBytes = false
    origin.pause()
    client.end(Buffer.alloc(MIB))
    origin.end()
    await client.untilEnded()
    assert.equal(proxy.sessions[0]?.loggings, 0)
    const before = origin.bytes
    origin.resume()
    await origin.untilEnded(1_000)
    assert.equal(origin.bytes - before, MIB)
    await client.untilClosed()
    assert.equal(proxy.sessions[0].error, undefined)
  })

  test('shows a side that does not take the last bytes that they are missing', async (t) => {
    const { world, client, origin, proxy } = await tunnel(t, {
      hooks: {
        responseBodyFilter: (_session, _body, isEnd) => (isEnd ? Buffer.alloc(MIB) : undefined),
      },
    })
    client.keepsBytes = false
    client.pause()
    client.end()
    await origin.untilEnded()
    origin.end()
    await world.advance(IDLE_MS + STEP_MS)
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_TUNNEL_TIMEOUT')
    client.resume()
    await client.untilClosed()
    assert.deepEqual([client.errorCode, client.ended], ['ECONNRESET', false])
  })

  test('is cut when no byte went through it for a while', async (t) => {
    const { world, client, origin, proxy } = await tunnel(t)
    await world.advance(IDLE_MS - 1_000)
    client.send('x')
    await world.advance(IDLE_MS - 1_000)
    origin.send('y')
    await world.advance(IDLE_MS - 1_000)
    assert.deepEqual([client.closed, origin.closed], [false, false])
    await world.advance(1_000 + STEP_MS)
    assert.deepEqual([client.errorCode, origin.errorCode], ['ECONNRESET', 'ECONNRESET'])
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_TUNNEL_TIMEOUT')
    assert.ok(world.log.every(({ level }) => level !== 'error'))
  })

  test('has the idle time of its peer, and none with 0', async (t) => {
    const short = await tunnel(t, { peer: { tunnelTimeoutMs: 1_000, readTimeoutMs: 100 } })
    await short.world.advance(900)
    assert.equal(short.client.closed, false)
    await short.world.advance(100 + STEP_MS)
    assert.equal(short.client.closed, true)
    const long = await tunnel(t, { peer: { tunnelTimeoutMs: 0 } })
    await long.world.advance(10 * IDLE_MS)
    assert.equal(long.client.closed, false)
    long.client.reset()
    await long.origin.untilClosed()
  })

  test('holds a graceful stop up until it ends', async (t) => {
    const { world, proxy, client, origin } = await tunnel(t)
    const stop = proxy.stop()
    await world.advance(10_000)
    client.send('still')
    await origin.untilText('still')
    assert.equal(proxy.running.hasEnded, false)
    client.end()
    await origin.untilEnded()
    origin.end()
    await stop
    assert.equal(world.clock.nowMs(), 10_000)
  })

  test('ends with the grace period, and both sides see that it was cut', async (t) => {
    const { world, proxy, client, origin } = await tunnel(t, {
      conf: { gracePeriodSeconds: 20 },
    })
    await proxy.stop()
    await world.idle()
    assert.equal(world.clock.nowMs(), 20_000)
    assert.deepEqual([client.errorCode, origin.errorCode], ['ECONNRESET', 'ECONNRESET'])
  })
})

describe('CONNECT', () => {
  const ALLOWED: ProxySetup = { options: { allowConnect: true } }

  test('is refused unless the service allows it', async (t) => {
    const { proxy, upstream } = await testProxy(t, { skipsLogging: true })
    const client = await proxy.client()
    const exchange = await client.request({ raw: `${CONNECT}early` })
    assert.equal(exchange.status, 405)
    assert.match(exchange.headers.get('Allow') ?? '', /^GET, /)
    await client.peer.untilEnded()
    assert.equal(upstream.connections.length, 0)
  })

  test('goes to the upstream as it is, and its 2xx opens a tunnel', async (t) => {
    const { proxy, upstream } = await testProxy(t, ALLOWED)
    const client = await proxy.client()
    client.send(`${CONNECT}hello`)
    const origin = await upstream.next()
    const asked = await origin.request()
    assert.deepEqual(
      [asked.startLine, asked.headers.entries],
      ['CONNECT example.com:443 HTTP/1.1', [['Host', 'example.com:443']]],
    )
    assert.equal(origin.rest, '')
    // What frames a body means nothing here (RFC 9110 section 9.3.6).
    origin.send('HTTP/1.1 200 Established\r\nContent-Length: 3\r\nDate: x\r\n\r\nabcdef')
    const answer = await client.peer.response('CONNECT')
    assert.deepEqual(answer.headers.entries, [['Date', 'x']])
    await client.peer.untilText('abcdef')
    await origin.untilText('hello')
    origin.end()
    await client.peer.untilEnded()
    client.peer.end('bye')
    await origin.untilText('bye')
    await origin.untilClosed()
    assert.equal(proxy.sessions[0]?.error, undefined)
  })

  test('and upgrades go by HTTP/1 to a peer that could have either', async (t) => {
    const peer = { protocol: 'auto', tls: true, sni: 'up.test' } as const
    for (const head of [
      CONNECT,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    ]) {
      const { world, proxy, upstream } = await testProxy(t, { ...ALLOWED, peer })
      world.network.serveTls(upstream.address, { names: ['up.test'], alpn: ['h2', 'http/1.1'] })
      upstream.answer(reply(403, 'no'))
      assert.equal((await proxy.request({ raw: head })).text, 'no')
      assert.equal(upstream.requests[0]?.version, '1.1')
    }
  })

  test('that the upstream refuses gives its answer and closes', async (t) => {
    const { proxy, upstream } = await testProxy(t, ALLOWED)
    upstream.answer(reply(403, 'no'))
    const client = await proxy.client()
    const exchange = await client.request({ raw: `${CONNECT}GET / HTTP/1.1\r\nHost: a\r\n\r\n` })
    assert.deepEqual(
      [exchange.status, exchange.text, exchange.headers.get('Connection')],
      [403, 'no', 'close'],
    )
    await client.peer.untilEnded()
    assert.equal(proxy.sessions.length, 1)
  })

  test('needs an authority, and no body', async (t) => {
    const { proxy, upstream } = await testProxy(t, ALLOWED)
    for (const head of [
      'CONNECT /path HTTP/1.1\r\nHost: a\r\n',
      'CONNECT example.com HTTP/1.1\r\nHost: a\r\n',
      'CONNECT http://example.com:443/ HTTP/1.1\r\nHost: a\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n',
    ]) {
      assert.equal((await proxy.request({ raw: `${head}\r\n` })).status, 400, head)
    }
    assert.equal(upstream.connections.length, 0)
  })

  test('may be answered by a hook, but not with what would be a tunnel', async (t) => {
    for (const [status, sent] of [
      [407, 407],
      [200, 500],
    ] as const) {
      const { proxy } = await testProxy(t, {
        ...ALLOWED,
        hooks: {
          requestFilter(session) {
            assert.equal(session.reqHeader.target, 'example.com:443')
            session.respond(status)
            return 'responded'
          },
        },
      })
      assert.equal((await proxy.request({ raw: CONNECT })).status, sent)
    }
  })
})
