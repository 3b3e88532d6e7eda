import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseSocketAddress } from '../transport/index.js'
import { reply } from './reply.js'
import type { ScriptedUpstream, ScriptedUpstreamOptions } from './scripted-upstream.js'
import { TestPeer } from './test-peer.js'
import type { Answer } from './upstream-request.js'
import { TestWorld } from './world.js'

const ADDRESS = '10.0.0.1:80'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

function begin(
  t: TestContext,
  options: ScriptedUpstreamOptions = {},
): { world: TestWorld; upstream: ScriptedUpstream } {
  const world = new TestWorld()
  t.after(() => world.close())
  return { world, upstream: world.upstream(ADDRESS, options) }
}

/** A connection to the upstream. */
async function dial(world: TestWorld): Promise<TestPeer> {
  const dialled = world.network.dial(parseSocketAddress(ADDRESS), {})
  return new TestPeer(world, await world.run(dialled))
}

describe('a scripted upstream', () => {
  test('answers 200 with its address when nothing else is said, and keeps the connection', async (t) => {
    const { world, upstream } = begin(t)
    const client = await dial(world)
    for (let n = 0; n < 2; n++) {
      client.send(GET)
      const answer = await client.response()
      assert.deepEqual([answer.status, answer.text], [200, ADDRESS])
    }
    assert.deepEqual([upstream.connections.length, upstream.open], [1, 1])
    client.end()
    await client.untilClosed()
    assert.equal(upstream.open, 0)
  })

  test('keeps each request, and exactly the bytes that came', async (t) => {
    const { world, upstream } = begin(t)
    const [first, second] = [await dial(world), await dial(world)]
    const put = 'PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n'
    await world.advance(7)
    second.send(`${put}GET /cut`)
    await second.response()
    first.send(GET)
    await first.response()
    const [one, two] = upstream.requests
    assert.deepEqual(
      [one?.method, one?.target, one?.text, one?.trailers.get('a'), one?.connection, one?.atMs],
      ['PUT', '/x', 'hi', 'b', 1, 7],
    )
    assert.equal(one?.raw.toString(), put)
    assert.deepEqual([two?.method, two?.connection, two?.headers.get('host')], ['GET', 0, 'a'])
    assert.equal(upstream.received(1).toString(), `${put}GET /cut`)
    assert.deepEqual([upstream.received().toString(), upstream.received(2).length], [GET, 0])
  })

  /** What is answered to a GET, and what the client gets of it at once. */
  const answers: readonly (readonly [string, Answer, string])[] = [
    ['a reply', reply(200, 'ok'), OK],
    ['text, as it is', `${OK}\xff`, `${OK}\xff`],
    ['bytes, as they are', Uint8Array.of(1, 2), '\x01\x02'],
    ['a function', () => reply(200, 'ok'), OK],
    ['a function that takes its time', () => Promise.resolve(OK), OK],
    ['a function that gives a function', () => Promise.resolve(() => reply(200, 'ok')), OK],
    ['a function that looks at the request', ({ target }) => target, '/'],
    [
      'a function that speaks itself',
      (_request, peer) => {
        peer.send(OK)
      },
      OK,
    ],
    [
      'a function that speaks itself, later',
      async (_request, peer) => {
        await Promise.resolve()
        peer.send(OK)
      },
      OK,
    ],
  ]
  for (const [name, answer, text] of answers) {
    test(`answers with ${name}`, async (t) => {
      const { world } = begin(t, { answer })
      const client = await dial(world)
      client.send(GET)
      await world.idle()
      assert.equal(client.text, text)
    })
  }

  test('sends what belongs together in one write', async (t) => {
    const { world } = begin(t, { answer: reply.interim().followedBy(reply(200, 'ok').after(5)) })
    const client = await dial(world)
    client.send(GET)
    assert.equal((await client.response()).status, 103)
    assert.equal((await client.response('GET', 5)).text, 'ok')
    assert.deepEqual([client.pieces, world.clock.nowMs()], [2, 5])
  })

  test('has a queue of answers, which are used first', async (t) => {
    const { world, upstream } = begin(t, { answer: reply(299) })
    upstream.answerNext(reply(201), () => reply(202))
    const [first, second] = [await dial(world), await dial(world)]
    const statuses: number[] = []
    for (const client of [first, second, first]) {
      client.send(GET)
      statuses.push((await client.response()).status)
    }
    upstream.answer(reply(204))
    first.send(GET)
    statuses.push((await first.response()).status)
    assert.deepEqual(statuses, [201, 202, 299, 204])
  })

  test('answers pipelined requests in order, however long each takes', async (t) => {
    const { world, upstream } = begin(t)
    upstream.answer(async ({ target }) => {
      const ms = Number(target.slice(1))
      await world.sleep(ms)
      return reply(200, target).slowly(20, 1)
    })
    const client = await dial(world)
    const targets = ['/30', '/0', '/10']
    client.send(targets.map((target) => GET.replace('/', target)).join(''))
    await world.idle()
    assert.equal(upstream.requests.length, 3)
    for (const target of targets) assert.equal((await client.response('GET', 100)).text, target)
  })

  test('sends no body to HEAD', async (t) => {
    const { world } = begin(t)
    const client = await dial(world)
    client.send('HEAD / HTTP/1.1\r\n\r\n')
    assert.equal((await client.response('HEAD')).headers.get('Content-Length'), '11')
    assert.equal(client.rest, '')
  })

  /** What the client sees of each end. */
  const ends: readonly (readonly [string, Answer, string, string])[] = [
    ['closes without keep-alive', reply(204, '', { keepAlive: false }), 'ended', ''],
    ['closes without an answer', reply.close(), 'ended', ''],
    ['resets without an answer', reply.reset(), 'broken', 'ECONNRESET'],
    ['resets in its answer', reply(200, 'ok').cutAfter(30, 'reset'), 'broken', 'ECONNRESET'],
    ['ends in its answer', reply(200, 'ok').cutAfter(30, 'end'), 'ended', ''],
    ['stalls in its answer', reply(200, 'ok').cutAfter(30, 'stall'), 'open', ''],
    ['never answers', reply.never(), 'open', ''],
  ]
  for (const [name, answer, state, errorCode] of ends) {
    test(`${name}, and answers nothing behind that`, async (t) => {
      const { world, upstream } = begin(t, { answer })
      const client = await dial(world)
      client.send(GET + GET)
      await world.advance(1_000)
      assert.deepEqual([client.state, client.errorCode], [state, errorCode])
      assert.ok(client.bytes <= 49)
      client.end()
      await world.idle()
      assert.equal(upstream.open, 0)
    })
  }

  test('forgets what it was going to send when the client leaves', async (t) => {
    const { world } = begin(t, { answer: reply(200, 'x'.repeat(100)).slowly(1, 1_000) })
    const client = await dial(world)
    client.send(GET)
    await world.advance(5_000)
    client.reset()
    await world.idle()
    assert.equal(world.clock.pending, 0)
  })

  test('resets a connection whose request is cut, when those before it are answered', async (t) => {
    const { world, upstream } = begin(t, { answer: reply(200, 'ok').after(5) })
    const client = await dial(world)
    client.end(`${GET}GET /cu`)
    await world.idle()
    assert.deepEqual([client.bytes, upstream.open], [0, 1])
    await client.untilText(OK, 5)
    await client.untilClosed()
    assert.equal(upstream.requests.length, 1)
  })
})

describe('the faults of a test', () => {
  for (const [how, answer] of [
    [
      'throws',
      () => {
        throw new Error('planted')
      },
    ],
    ['rejects', () => Promise.reject(new Error('planted'))],
    ['throws later', () => Promise.resolve(() => Promise.reject(new Error('planted')))],
  ] as [string, Answer][]) {
    test(`are told by the next wait: an answer that ${how}`, async (t) => {
      const world = new TestWorld()
      world.upstream(ADDRESS, { answer })
      const client = await dial(world)
      client.send(GET)
      await assert.rejects(world.idle(), /^Error: planted$/)
      await assert.rejects(client.response(), /^Error: planted$/)
      t.after(() => world.close().catch(() => undefined))
    })
  }

  test('are told by the next wait: a request that is none', async (t) => {
    const world = new TestWorld()
    t.after(() => world.close().catch(() => undefined))
    world.upstream(ADDRESS)
    const client = await dial(world)
    client.send('hello\r\n\r\n')
    const said =
      /from 10\.255\.0\.1:\d+ to the upstream 10\.0\.0\.1:80 is no request: malformed: start/
    await assert.rejects(world.idle(), said)
  })

  test('are told by the next wait: more bytes than all its connections may keep', async (t) => {
    const world = new TestWorld()
    t.after(() => world.close().catch(() => undefined))
    world.upstream(ADDRESS, { maxKeptBytes: 2 * GET.length })
    const [first, second] = [await dial(world), await dial(world)]
    first.send(GET)
    second.send(GET)
    await world.idle()
    first.send('G')
    await assert.rejects(world.idle(), /more than maxKeptBytes \(54\) came to 10\.0\.0\.1:80/)
  })

  test('are told by the next wait: an address that is taken', async (t) => {
    const world = new TestWorld()
    t.after(() => world.close().catch(() => undefined))
    world.upstream(ADDRESS)
    world.upstream(ADDRESS)
    await assert.rejects(world.idle(), { code: 'PGR_LISTEN_FAILED' })
  })

  test('are told at once: options that cannot be', (t) => {
    const { world } = begin(t)
    const invalid = { code: 'PGR_OPTION_INVALID' }
    assert.throws(() => world.upstream('10.0.0.2:80', { maxKeptBytes: 0 }), invalid)
    assert.throws(() => world.upstream('10.0.0.2:0'), invalid)
    assert.throws(() => world.upstream('a.example:80'), { code: 'PGR_ADDRESS_INVALID' })
  })
})

describe('a connection that a test takes', () => {
  test('is the test to speak on, from its first byte', async (t) => {
    const { world, upstream } = begin(t)
    const dialled = world.network.dial(parseSocketAddress(ADDRESS), {})
    const [origin, client] = await Promise.all([
      upstream.next(),
      world.run(dialled).then((connection) => new TestPeer(world, connection)),
    ])
    client.send(GET)
    assert.equal((await origin.request()).method, 'GET')
    assert.deepEqual([client.bytes, upstream.requests.length], [0, 0])
    origin.send(OK)
    assert.equal((await client.response()).text, 'ok')
    client.end()
    await origin.untilEnded()
    assert.equal(origin.closed, false)
  })

  test('may have bytes already when nothing is answered by itself', async (t) => {
    const { world, upstream } = begin(t, { answer: null })
    const clients = [await dial(world), await dial(world)]
    for (const client of clients) client.send(GET)
    await world.idle()
    for (const index of [0, 1]) {
      const origin = await upstream.next()
      assert.equal(origin, upstream.connections[index])
      assert.equal((await origin.request()).text, '')
    }
    await assert.rejects(upstream.next(), /in vain for a connection to 10\.0\.0\.1:80 that nobody/)
  })

  test('is none that was answered', async (t) => {
    const { world, upstream } = begin(t)
    const first = await dial(world)
    first.send(GET)
    await first.response()
    const next = upstream.next(10)
    const second = await dial(world)
    assert.equal((await next).connection.digest.peerAddress, second.connection.digest.localAddress)
  })

  test('goes to nobody who has given up waiting', async (t) => {
    const { world, upstream } = begin(t)
    await assert.rejects(upstream.next())
    const client = await dial(world)
    client.send(GET)
    assert.equal((await client.response()).status, 200)
  })

  test('is left alone when answers are given from then on, the others are not', async (t) => {
    const { world, upstream } = begin(t, { answer: null })
    const [first, second] = [await dial(world), await dial(world)]
    await upstream.next()
    first.send(GET)
    second.send(GET)
    await world.idle()
    upstream.answer(OK)
    await second.response()
    assert.equal(first.bytes, 0)
  })

  test('and all others are closed by allClosed, once the client has ended them', async (t) => {
    const { world, upstream } = begin(t, { answer: null })
    const [first, second] = [await dial(world), await dial(world)]
    ;(await upstream.next()).pause()
    first.end()
    await assert.rejects(upstream.allClosed(), /in vain for the connections to .* to close/)
    assert.equal(upstream.open, 1)
    second.end()
    await upstream.allClosed()
    assert.deepEqual([first.closed, second.closed], [true, true])
  })
})

describe('an upstream in trouble', () => {
  test('resets its connections when it goes down, refuses, and comes up again', async (t) => {
    const { world, upstream } = begin(t)
    const client = await dial(world)
    for (let round = 0; round < 2; round++) {
      upstream.down()
      upstream.down()
      await assert.rejects(dial(world), { code: 'PGR_CONNECT_REFUSED' })
      upstream.up()
      upstream.up()
      const later = await dial(world)
      later.send(GET)
      assert.equal((await later.response()).status, 200)
    }
    assert.equal(client.errorCode, 'ECONNRESET')
    upstream.down()
    upstream.up()
    upstream.down()
    await assert.rejects(dial(world), { code: 'PGR_CONNECT_REFUSED' })
  })

  test('lets connects hang in a black hole until it is healed', async (t) => {
    const { world, upstream } = begin(t)
    upstream.blackhole()
    const client = dial(world)
    await world.advance(10_000)
    assert.equal(upstream.connections.length, 0)
    upstream.heal()
    await client
    assert.equal(upstream.connections.length, 1)
  })

  test('is cut off by a partition until it is healed', async (t) => {
    const { world, upstream } = begin(t)
    const client = await dial(world)
    upstream.partition()
    client.send(GET)
    await world.advance(10_000)
    assert.equal(upstream.received().length, 0)
    upstream.heal()
    assert.equal((await client.response()).status, 200)
  })

  test('speaks TLS when it has names, and still keeps what it got', async (t) => {
    const { world, upstream } = begin(t, { tls: 'a.example' })
    const { network } = world
    const plain = await world.run(network.dial(parseSocketAddress(ADDRESS), { forTls: true }))
    const tls = { sni: 'a.example', verifyName: 'a.example', verifyChain: true }
    const options = { ...tls, alpn: [], sessionKey: '' }
    const secure = await world.run(network.startTls(plain, options))
    const client = new TestPeer(world, secure)
    client.send(GET)
    assert.equal((await client.response()).status, 200)
    assert.equal(upstream.received().toString(), GET)
  })

  test('closes what it has when it is closed, and listens no more', async (t) => {
    const { world, upstream } = begin(t)
    const client = await dial(world)
    await upstream.close()
    await client.untilEnded()
    assert.deepEqual([client.errorCode, upstream.open], ['', 0])
    await assert.rejects(dial(world), { code: 'PGR_CONNECT_REFUSED' })
  })

  test('leaves nothing behind when the world closes', async () => {
    const world = new TestWorld()
    const upstream = world.upstream(ADDRESS, { answer: reply(200).after(60_000) })
    const client = await dial(world)
    client.send(GET)
    await world.idle()
    await world.close()
    assert.deepEqual([upstream.open, world.network.listening, world.clock.pending], [0, [], 0])
  })
})
