import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { otherSocketsTurn } from '../../helpers/connection-pair.js'
import { PromiseGate } from '../../helpers/promise-gate.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import { fieldOf } from '../../helpers/raw-message.js'

const MIB = 1024 * 1024
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'

describe('a client that leaves', () => {
  for (const how of ['end', 'reset'] as const) {
    test(`after its request (${how}) takes the upstream's connection with it`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      client[how]()
      await origin.untilEnded()
      await client.untilClosed()
      await proxy.untilLogged(1)
      assert.equal(client.text, '')
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
      assert.deepEqual(proxy.messages('error'), [])
    })

    test(`in the middle of the answer (${how}) takes the upstream's connection with it`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
      await client.untilText('abc')
      client[how]()
      await origin.untilEnded()
      await proxy.untilLogged(1)
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
      assert.equal(proxy.logged[0].session.bodyBytesSent, 3)
    })

    test(`in the middle of its upload (${how}) takes the upstream's connection with it`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(`${POST}abc`)
      const origin = await proxy.upstream.next()
      await origin.untilText('abc')
      client[how]()
      await origin.untilEnded()
      await proxy.untilLogged(1)
      const code = how === 'end' ? 'PGR_REQUEST_BODY_INCOMPLETE' : 'PGR_DOWNSTREAM_CLOSED'
      assert.equal(proxy.logged[0]?.error?.code, code)
      assert.ok(!origin.text.endsWith('0\r\n\r\n'))
      if (how === 'end') assert.equal((await client.response()).status, 400)
    })
  }

  test('while the upstream is being connected to ends the connecting', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.network.silent.add(proxy.upstream.address)
    const client = await proxy.client()
    client.send(GET)
    await proxy.until(() => proxy.network.hanging === 1, 'a dial')
    client.end()
    await proxy.untilLogged(1)
    assert.equal(proxy.network.hanging, 0)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
  })

  test('while a hook is at work gets no upstream', async (t) => {
    const gate = new PromiseGate()
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter: () => gate.pass() } })
    const client = await proxy.client()
    client.send(GET)
    await gate.reached()
    client.end()
    await otherSocketsTurn(t)
    gate.open()
    await proxy.untilLogged(1)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
    assert.equal(proxy.upstream.peers.length, 0)
  })

  for (const hook of ['requestBodyFilter', 'responseFilter', 'responseBodyFilter'] as const) {
    test(`while ${hook} is at work ends the request at once`, async (t) => {
      const gate = new PromiseGate()
      const proxy = await ProxyUnderTest.start(t, { hooks: { [hook]: () => gate.pass() } })
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      client.send('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
      await gate.reached()
      client.reset()
      await proxy.untilLogged(1)
      await proxy.upstream.peers[0]?.untilEnded()
      gate.open()
      await otherSocketsTurn(t)
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
    })
  }

  test('between two requests is no failure', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET)
    await client.response()
    client.end()
    await client.untilClosed()
    assert.equal(client.errorCode, '')
    assert.equal(proxy.logged.length, 1)
    assert.deepEqual(proxy.messages('error'), [])
  })
})

describe('with abortOnClose off, a client that ends its direction', () => {
  const settings = { options: { abortOnClose: false } }

  for (const connection of ['keep-alive', 'close']) {
    test(`is answered all the same (Connection: ${connection})`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, settings)
      const client = await proxy.client()
      client.end(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`)
      const origin = await proxy.upstream.next()
      await origin.request()
      await otherSocketsTurn(t)
      origin.send(OK)
      assert.equal((await client.response()).body, 'ok')
      await client.untilEnded()
      assert.equal(client.errorCode, '')
      assert.equal(proxy.logged[0]?.error, undefined)
    })

    test(`gets a large answer whole, however slowly it reads (Connection: ${connection})`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, settings)
      const client = await proxy.client()
      client.end(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`)
      const origin = await proxy.upstream.next()
      await origin.request()
      client.keepsBytes = false
      client.socket.pause()
      const total = 12 * MIB
      origin.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      const accepted = proxy.network.accepted[0]!
      const sending = origin.sendAll(Buffer.alloc(total))
      await proxy.until(() => accepted.pendingBytes > 0, 'the client to hold the proxy up')
      for (let n = 0; n < 20; n++) {
        await otherSocketsTurn(t)
        client.socket.resume()
        await client.until(() => client.bytes >= (n * total) / 20)
        client.socket.pause()
        proxy.pass(2_500)
      }
      client.socket.resume()
      await sending
      await client.untilEnded()
      assert.ok(client.bytes > total)
    })
  }

  test('has its pipelined requests answered', async (t) => {
    const proxy = await ProxyUnderTest.start(t, settings)
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.end(GET + GET + GET)
    for (let n = 0; n < 3; n++) assert.equal((await client.response()).body, 'ok')
    await client.untilEnded()
    assert.equal(client.errorCode, '')
  })

  test('is still refused a body that is not complete', async (t) => {
    const proxy = await ProxyUnderTest.start(t, settings)
    const client = await proxy.client()
    client.end(`${POST}abc`)
    assert.equal((await client.response()).status, 400)
    await client.untilEnded()
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_REQUEST_BODY_INCOMPLETE')
  })
})

describe('a client that is slow', () => {
  test('gets 408 when its head does not end in time, however often a byte comes', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('GET / HTTP/1.1\r\n')
    const accepted = proxy.network.accepted[0]!
    for (let n = 1; n <= 6; n++) {
      await proxy.until(() => accepted.bytesRead === 15 + n, 'a byte')
      proxy.pass(9_960)
      client.send('X')
    }
    const answer = await client.response()
    assert.equal(answer.status, 408)
    assert.equal(fieldOf(answer, 'Connection'), 'close')
    await client.untilEnded()
    assert.equal(proxy.logged.length, 0)
    assert.equal(proxy.counters.errors('PGR_HEADER_TIMEOUT'), 1)
  })

  for (const [name, before] of [
    ['first', 0],
    ['next', 1],
  ] as const) {
    test(`to send its ${name} request is closed without a word`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      proxy.upstream.answer(OK)
      const client = await proxy.client()
      for (let n = 0; n < before; n++) {
        client.send(GET)
        await client.response()
      }
      await proxy.until(
        () => proxy.logged.length === before && proxy.network.accepted.length === 1,
        'idleness',
      )
      proxy.pass(59_900)
      assert.equal(client.ended, false)
      proxy.pass(100)
      await client.untilEnded()
      assert.equal(client.rest, '')
      assert.equal(client.errorCode, '')
    })
  }

  test('to send its body gets 408, and it is not blamed on the upstream', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(`${POST}a`)
    const origin = await proxy.upstream.next()
    for (const byte of 'bcd') {
      await origin.until(() =>
        origin.text.endsWith(`\r\n\r\na${'bcd'.slice(0, 'bcd'.indexOf(byte))}`),
      )
      proxy.pass(50_000)
      client.send(byte)
    }
    await origin.untilText('abcd')
    proxy.pass(60_000)
    const answer = await client.response()
    assert.equal(answer.status, 408)
    assert.equal(fieldOf(answer, 'Connection'), 'close')
    await client.untilEnded()
    await origin.untilEnded()
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_BODY_TIMEOUT')
  })

  test('to take the answer is cut when it takes none of it for too long', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.keepsBytes = false
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    client.socket.pause()
    origin.send('HTTP/1.1 200 OK\r\n\r\n')
    origin.send(Buffer.alloc(32 * MIB))
    const accepted = proxy.network.accepted[0]!
    await proxy.until(() => accepted.pendingBytes > 0, 'the client to hold the proxy up')
    await otherSocketsTurn(t)
    proxy.pass(59_000)
    await otherSocketsTurn(t)
    assert.equal(proxy.logged.length, 0)
    proxy.pass(61_000)
    await origin.untilEnded()
    await proxy.untilLogged(1)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_WRITE_TIMEOUT')
    await proxy.until(() => proxy.counters.get('downstreamConnectionsOpen') === 0, 'the close')
  })

  for (const connection of ['close', 'keep-alive']) {
    for (const ends of [false, true]) {
      const name = `Connection: ${connection}${ends ? ', after a FIN' : ''}`
      test(`to take an answer that waits for it alone gets it whole (${name})`, async (t) => {
        const body = Buffer.alloc(16 * MIB)
        const gate = new PromiseGate()
        const proxy = await ProxyUnderTest.start(t, {
          options: { abortOnClose: false },
          hooks: {
            requestFilter: async (session) => {
              await gate.pass()
              session.respond(200, { body })
              return 'responded' as const
            },
          },
        })
        const client = await proxy.client()
        client.keepsBytes = false
        client.socket.pause()
        client.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`)
        await gate.reached()
        if (ends) client.end()
        await otherSocketsTurn(t)
        gate.open()
        await proxy.untilLogged(1)
        const accepted = proxy.network.accepted[0]!
        for (let n = 0; n < 8 && accepted.pendingBytes > 0; n++) {
          // Longer than a client gets after its last answer, and in all no write time-out.
          proxy.pass(6_000)
          client.socket.resume()
          await client.until(() => client.bytes > n * MIB)
          client.socket.pause()
          await otherSocketsTurn(t)
        }
        client.socket.resume()
        await client.until(() => client.bytes > body.length || client.ended, 'the whole answer')
        assert.ok(client.bytes > body.length)
        if (connection === 'close' || ends) await client.untilEnded()
        assert.equal(client.errorCode, '')
      })
    }
  }

  test('to take the last answer on its connection is cut at last', async (t) => {
    const proxy = await ProxyUnderTest.start(t, {
      hooks: {
        requestFilter: (session) => {
          session.respond(200, { body: Buffer.alloc(16 * MIB) })
          return 'responded'
        },
      },
    })
    const client = await proxy.client()
    client.keepsBytes = false
    client.socket.pause()
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await proxy.untilLogged(1)
    await otherSocketsTurn(t)
    proxy.pass(60_000)
    await otherSocketsTurn(t)
    proxy.pass(60_000)
    await proxy.until(() => proxy.counters.get('downstreamConnectionsOpen') === 0, 'the close')
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
  for (const [bytes, status, name] of cases) {
    test(`for ${name} gets ${status} and the connection closes`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(bytes)
      const answer = await client.response()
      assert.equal(answer.status, status)
      assert.equal(fieldOf(answer, 'Connection'), 'close')
      assert.ok(answer.body.startsWith(String(status)) && answer.body.length < 100)
      await client.untilEnded()
      assert.equal(client.errorCode, '')
      assert.equal(proxy.counters.get('requests'), 0)
      assert.equal(proxy.counters.get('requestsRefused'), 1)
      assert.equal(proxy.upstream.peers.length, 0)
    })
  }

  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'
  for (const [rest, name] of [
    ['zz\r\n', 'a chunk size that is none'],
    [`1;${'x'.repeat(4_100)}`, 'a chunk line over 4 KiB'],
    [`0\r\n${`X: ${'x'.repeat(8_000)}\r\n`.repeat(3)}\r\n`, 'trailers over 16 KiB'],
  ] as const) {
    test(`in its body for ${name} gets 400, and the upstream is cut`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(chunked)
      const origin = await proxy.upstream.next()
      await origin.untilText('abc\r\n')
      client.send(rest)
      const answer = await client.response()
      assert.equal(answer.status, 400)
      assert.equal(fieldOf(answer, 'Connection'), 'close')
      await client.untilEnded()
      await origin.untilEnded()
      assert.equal(proxy.logged[0]?.error?.code, 'PGR_REQUEST_BODY_INVALID')
      assert.ok(!origin.text.endsWith('0\r\n\r\n'))
    })
  }

  test('comes after the answers to those before it', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(`${GET}${GET}nonsense\r\n\r\n${GET}`)
    const statuses = [await client.response(), await client.response(), await client.response()]
    assert.deepEqual(
      statuses.map((answer) => answer.status),
      [200, 200, 400],
    )
    await client.untilEnded()
    assert.equal(client.rest, '')
    assert.equal(proxy.logged.length, 2)
  })
})

describe('the limits on connections', () => {
  for (const options of [{ maxConnections: 2 }, { maxConnectionsPerClient: 2 }]) {
    test(`close what is too many, and forget who left (${Object.keys(options)[0]!})`, async (t) => {
      const proxy = await ProxyUnderTest.start(t, { options })
      proxy.upstream.answer(OK)
      const [first, second] = [await proxy.client(), await proxy.client()]
      for (const client of [first, second]) {
        client.send(GET)
        await client.response()
      }
      const third = await proxy.client()
      await third.untilEnded()
      assert.equal(third.text, '')
      assert.equal(proxy.counters.get('downstreamConnectionsLimited'), 1)
      first.end()
      await first.untilClosed()
      await proxy.until(() => proxy.counters.get('downstreamConnectionsOpen') === 1, 'the count')
      const fourth = await proxy.client()
      fourth.send(GET)
      assert.equal((await fourth.response()).status, 200)
    })
  }
})
