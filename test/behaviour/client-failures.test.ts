import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { TestPeer, TestRequest } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxySetup } from '../helpers/test-world.js'

const MIB = 1024 * 1024
const OK = reply(200, 'ok')
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'

describe('a client that leaves', () => {
  for (const how of ['end', 'reset'] as const) {
    test(`after its request (${how}) takes the upstream's connection with it`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      upstream.answer(reply.never())
      const { peer: client } = await proxy.client()
      client.send(GET)
      await world.idle()
      client[how]()
      await upstream.connections[0]?.untilEnded()
      await client.untilClosed()
      assert.equal(client.text, '')
      assert.equal(proxy.sessions[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
      assert.ok(world.log.every(({ level }) => level !== 'error'))
    })

    test(`in the middle of the answer (${how}) takes the upstream's connection with it`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      upstream.answer(reply(200, 'abc', { contentLength: 10 }))
      const { peer: client } = await proxy.client()
      client.send(GET)
      await client.untilText('abc')
      client[how]()
      await upstream.connections[0]?.untilEnded()
      const [session] = proxy.sessions
      assert.equal(session?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
      assert.equal(session.session.bodyBytesSent, 3)
    })

    test(`in the middle of its upload (${how}) takes the upstream's connection with it`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      const client = await proxy.client()
      client.send(`${POST}abc`)
      const origin = await upstream.next()
      await origin.untilText('abc')
      client.peer[how]()
      await origin.untilEnded()
      const code = how === 'end' ? 'PGR_REQUEST_BODY_INCOMPLETE' : 'PGR_DOWNSTREAM_CLOSED'
      assert.equal(proxy.sessions[0]?.error?.code, code)
      assert.equal(origin.text, `${POST}abc`)
      if (how === 'end') assert.equal((await client.exchange('POST')).status, 400)
    })
  }

  test('while the upstream is being connected to ends the connecting', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.blackhole()
    const client = await proxy.client()
    client.send(GET)
    await world.idle()
    assert.deepEqual(
      world.leftovers().filter((what) => what.startsWith('a dial')),
      [`a dial of ${upstream.address}`],
    )
    client.peer.end()
    await world.idle()
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
    assert.ok(world.leftovers().every((what) => !what.startsWith('a dial')))
  })

  test('while a hook is at work gets no upstream', async (t) => {
    const { world, proxy, upstream } = await testProxy(t, {
      hooks: (it) => ({ requestFilter: () => it.sleep(10) }),
    })
    const client = await proxy.client()
    client.peer.end(GET)
    await world.advance(10)
    const [session] = proxy.sessions
    assert.equal(session?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
    assert.equal(upstream.connections.length, 0)
  })

  for (const hook of ['requestBodyFilter', 'responseFilter', 'responseBodyFilter'] as const) {
    test(`while ${hook} is at work ends the request at once`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, {
        hooks: (it) => ({ [hook]: () => it.sleep(10) }),
      })
      upstream.answer(OK)
      const client = await proxy.client()
      client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
      const isAtWork = (): boolean => proxy.sessions[0]?.calls.at(-1)?.name === hook
      await world.until(isAtWork, `${hook} to be at work`, 30)
      const beganMs = world.clock.nowMs()
      client.peer.reset()
      await upstream.connections[0]?.untilEnded()
      assert.equal(world.clock.nowMs(), beganMs)
      assert.equal(proxy.sessions[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
      await world.advance(10)
    })
  }

  test('between two requests is no failure', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const client = await proxy.client()
    await client.get('/')
    client.peer.end()
    await client.peer.untilClosed()
    assert.equal(client.peer.errorCode, '')
    assert.equal(proxy.sessions.length, 1)
    assert.ok(world.log.every(({ level }) => level !== 'error'))
  })
})

describe('with abortOnClose off, a client that ends its direction', () => {
  const setup: ProxySetup = { options: { abortOnClose: false } }

  for (const connection of ['keep-alive', 'close']) {
    const request = `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`

    test(`is answered all the same (Connection: ${connection})`, async (t) => {
      const { proxy, upstream } = await testProxy(t, setup)
      upstream.answer(OK.after(100))
      const client = await proxy.client()
      client.peer.end(request)
      const { text, error } = await client.exchange()
      assert.deepEqual([text, error], ['ok', undefined])
      await client.peer.untilEnded()
      assert.equal(client.peer.errorCode, '')
    })

    test(`gets a large answer whole, however slowly it reads (Connection: ${connection})`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, setup)
      const total = 4 * MIB
      upstream.answer(reply(200, Buffer.alloc(total)))
      const { peer: client } = await proxy.client()
      client.keepsBytes = false
      client.end(request)
      for (let n = 1; n < 20; n++) {
        await readsUpTo(client, (n * total) / 20)
        await world.advance(2_500)
        assert.ok(client.bytes < total, 'the client holds the proxy up')
      }
      client.onBytes = null
      client.resume()
      await client.untilEnded()
      assert.equal(client.errorCode, '')
      assert.ok(client.bytes > total)
    })
  }

  test('has its pipelined requests answered', async (t) => {
    const { proxy, upstream } = await testProxy(t, setup)
    upstream.answer(OK)
    const client = await proxy.client()
    client.peer.end(GET + GET + GET)
    for (let n = 0; n < 3; n++) assert.equal((await client.exchange()).text, 'ok')
    await client.peer.untilEnded()
    assert.equal(client.peer.errorCode, '')
  })

  test('is still refused a body that is not complete', async (t) => {
    const { proxy } = await testProxy(t, setup)
    const client = await proxy.client()
    client.peer.end(`${POST}abc`)
    const { status, error } = await client.exchange('POST')
    assert.deepEqual([status, error?.code], [400, 'PGR_REQUEST_BODY_INCOMPLETE'])
    await client.peer.untilEnded()
  })
})

/** Lets `client` read until it has `count` bytes, and then stop. */
async function readsUpTo(client: TestPeer, count: number): Promise<void> {
  client.onBytes = () => {
    if (client.bytes >= count) client.pause()
  }
  client.resume()
  await client.until(() => client.bytes >= count, `${count} bytes`)
}

describe('a client that is slow', () => {
  test('gets 408 when its head does not end in time, however often a byte comes', async (t) => {
    const { world, proxy } = await testProxy(t)
    const client = await proxy.client()
    client.send('GET / HTTP/1.1\r\n')
    const exchange = client.exchange()
    for (let n = 1; n < 6; n++) {
      await world.advance(9_960)
      client.send('X')
    }
    const { status, headers, tookMs, hooks, counters } = await exchange
    assert.deepEqual([status, headers.get('Connection'), tookMs], [408, 'close', 60_000])
    await client.peer.untilEnded()
    assert.deepEqual([hooks, counters['requestsRefused']], [[], 1])
    assert.equal(world.counters.errors('PGR_HEADER_TIMEOUT'), 1)
  })

  for (const [name, before] of [
    ['first', 0],
    ['next', 1],
  ] as const) {
    test(`to send its ${name} request is closed without a word`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      upstream.answer(OK)
      const client = await proxy.client()
      for (let n = 0; n < before; n++) await client.get('/')
      await world.advance(59_999)
      assert.equal(client.peer.ended, false)
      await world.advance(1)
      assert.equal(client.peer.ended, true)
      assert.deepEqual([client.peer.rest, client.peer.errorCode], ['', ''])
    })
  }

  test('to send its body gets 408, and it is not blamed on the upstream', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const headers = { 'Content-Length': '10' }
    const request: TestRequest = { method: 'POST', headers, body: ['a', 'b', 'c', 'd'] }
    const exchange = await proxy.request({ ...request, everyMs: 19_000 })
    assert.deepEqual([exchange.status, exchange.headers.get('Connection')], [408, 'close'])
    assert.deepEqual([exchange.tookMs, exchange.connectionOpen], [3 * 19_000 + 60_000, false])
    assert.equal(exchange.error?.code, 'PGR_BODY_TIMEOUT')
    assert.ok(upstream.received().toString().endsWith('\r\n\r\nabcd'))
    assert.equal(upstream.open, 0)
  })

  test('to take the answer is cut when it takes none of it for too long', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    upstream.answer(reply(200, Buffer.alloc(4 * MIB)))
    const { peer: client } = await proxy.client()
    client.keepsBytes = false
    client.send(GET)
    client.pause()
    await world.advance(59_999)
    assert.equal(proxy.sessions[0]?.loggings, 0)
    await world.advance(1)
    assert.equal(proxy.sessions[0].error?.code, 'PGR_DOWNSTREAM_WRITE_TIMEOUT')
    assert.equal(upstream.open, 0)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })

  for (const connection of ['close', 'keep-alive']) {
    for (const ends of [false, true]) {
      const name = `Connection: ${connection}${ends ? ', after a FIN' : ''}`
      test(`to take an answer that waits for it alone gets it whole (${name})`, async (t) => {
        const body = Buffer.alloc(4 * MIB)
        const { world, proxy } = await testProxy(t, {
          options: { abortOnClose: false },
          hooks: (it) => ({
            requestFilter: async (session) => {
              await it.sleep(10)
              session.respond(200, { body })
              return 'responded' as const
            },
          }),
        })
        const { peer: client } = await proxy.client()
        client.keepsBytes = false
        client.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`)
        if (ends) client.end()
        for (let n = 1; n <= 8; n++) {
          // Longer than a client gets after its last answer, and in all no write time-out.
          await world.advance(6_000)
          await readsUpTo(client, (n * body.length) / 16)
          assert.equal(proxy.sessions[0]?.loggings, 1)
        }
        client.onBytes = null
        client.resume()
        await client.until(() => client.bytes > body.length, 'the whole answer')
        if (connection === 'close' || ends) await client.untilEnded()
        assert.equal(client.errorCode, '')
      })
    }
  }

  test('to take the last answer on its connection is cut at last', async (t) => {
    const { world, proxy } = await testProxy(t, {
      hooks: {
        requestFilter: (session) => {
          session.respond(200, { body: Buffer.alloc(4 * MIB) })
          return 'responded'
        },
      },
    })
    const { peer: client } = await proxy.client()
    client.pause()
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await world.advance(59_999)
    assert.equal(proxy.sessions[0]?.loggings, 1)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 1)
    await world.advance(1)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })
})

describe('a request that is refused', () => {
  const long = 'x'.repeat(16_384)
  const cases: readonly [string, number, string][] = [
    ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400, 'two Host fields'],
    ['GET / HTTP/1.1\nHost: a\n\n', 400, 'a bare LF'],
    [`GET /${long} HTTP/1.1\r\nHost: a\r\n\r\n`, 414, 'a request line over 16 KiB'],
    [`GET /${long}${long}`, 414, 'a request line without end'],
    [
      `GET / HTTP/1.1\r\nHost: a\r\n${`X: ${long}\r\n`.repeat(4)}\r\n`,
      431,
      'a header section over 64 KiB',
    ],
    [`GET / HTTP/1.1\r\nHost: a\r\n${'X: 1\r\n'.repeat(128)}\r\n`, 431, 'more than 128 fields'],
    ['CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405, 'CONNECT'],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505, 'another version'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'the HTTP/2 preface'],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'TLS on a plain port'],
  ]
  for (const [raw, status, name] of cases) {
    test(`for ${name} gets ${status} and the connection closes`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      const client = await proxy.client()
      const exchange = await client.request({ raw })
      assert.equal(exchange.status, status)
      assert.equal(exchange.headers.get('Connection'), 'close')
      assert.ok(exchange.text.startsWith(String(status)) && exchange.text.length < 100)
      await client.peer.untilEnded()
      assert.equal(client.peer.errorCode, '')
      assert.equal(exchange.counters['requests'], undefined)
      assert.equal(exchange.counters['requestsRefused'], 1)
      assert.equal(upstream.connections.length, 0)
    })
  }

  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
  for (const [rest, name] of [
    ['zz\r\n', 'a chunk size that is none'],
    [`1;${'x'.repeat(4_100)}`, 'a chunk line over 4 KiB'],
    [`0\r\n${`X: ${'x'.repeat(8_000)}\r\n`.repeat(3)}\r\n`, 'trailers over 16 KiB'],
  ] as const) {
    test(`in its body for ${name} gets 400, and the upstream is cut`, async (t) => {
      const { proxy, upstream } = await testProxy(t)
      const client = await proxy.client()
      client.send(chunked)
      const origin = await upstream.next()
      await origin.untilText('abc')
      client.send(rest)
      const { status, headers, error } = await client.exchange('POST')
      assert.deepEqual([status, headers.get('Connection')], [400, 'close'])
      await client.peer.untilEnded()
      await origin.untilEnded()
      assert.equal(error?.code, 'PGR_REQUEST_BODY_INVALID')
      assert.equal(origin.text, chunked)
    })
  }

  test('gets two seconds to close, so that it can read why', async (t) => {
    const { world, proxy } = await testProxy(t)
    const client = await proxy.client()
    assert.equal((await client.request({ raw: 'nonsense\r\n\r\n' })).status, 400)
    await world.advance(1_999)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 1)
    await world.advance(1)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })

  test('comes after the answers to those before it', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(OK)
    const client = await proxy.client()
    client.send(`${GET}${GET}nonsense\r\n\r\n${GET}`)
    const statuses: number[] = []
    for (let n = 0; n < 3; n++) statuses.push((await client.exchange()).status)
    assert.deepEqual(statuses, [200, 200, 400])
    await client.peer.untilEnded()
    assert.equal(client.peer.rest, '')
    assert.equal(proxy.sessions.length, 2)
  })
})

describe('the limits on connections', () => {
  for (const options of [{ maxConnections: 2 }, { maxConnectionsPerClient: 2 }]) {
    test(`close what is too many, and forget who left (${Object.keys(options)[0]!})`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t, { options })
      upstream.answer(OK)
      const [first, second] = [await proxy.client(), await proxy.client()]
      for (const client of [first, second]) assert.equal((await client.get('/')).status, 200)
      const { peer: third } = await proxy.client()
      await third.untilEnded()
      assert.equal(third.text, '')
      assert.equal(world.counters.get('downstreamConnectionsLimited'), 1)
      await first.close()
      assert.equal(world.counters.get('downstreamConnectionsOpen'), 1)
      assert.equal((await proxy.get('/')).status, 200)
      const other = await proxy.get('/', { from: '192.0.2.7' })
      assert.equal(other.status, 200)
    })
  }

  test('count each client for itself', async (t) => {
    const { proxy, upstream } = await testProxy(t, { options: { maxConnectionsPerClient: 1 } })
    upstream.answer(OK)
    await proxy.client({ from: '192.0.2.7' })
    const failures = []
    for (const from of ['192.0.2.7', '192.0.2.8', '192.0.2.7']) {
      failures.push((await proxy.get('/', { from })).failure)
    }
    assert.deepEqual(failures, ['ended', '', 'ended'])
  })
})
