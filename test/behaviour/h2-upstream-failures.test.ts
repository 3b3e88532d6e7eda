import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { Exchange, TestPeer, TestRequest } from '../../src/testing/index.js'
import type { PeerOptions } from '../../src/transport/index.js'
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  GOAWAY,
  HEADERS,
  PING,
  RST_STREAM,
  fields,
  frame,
  framesOf,
  settings,
  words,
} from '../helpers/h2-frames.js'
import { UPSTREAM, testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld } from '../helpers/test-world.js'

const H2C: PeerOptions = { protocol: 'h2c' }
const GET: TestRequest = {}
const POST: TestRequest = { method: 'POST', body: 'abc' }
const HEAD_200 = (stream: number, flags = 0): Buffer =>
  frame(HEADERS, END_HEADERS | flags, stream, fields({ ':status': '200' }))
const rst = (stream: number, code: number): Buffer => frame(RST_STREAM, 0, stream, words(code))
const goaway = (last: number, code: number): Buffer => frame(GOAWAY, 0, 0, words(last, code))

/** An upstream whose every byte the test says. */
class RawUpstream {
  readonly peer: TestPeer
  constructor(peer: TestPeer) {
    this.peer = peer
  }

  /** Accepts the next connection, and says its settings. */
  static async accept({ upstream }: ProxyInWorld, values = {}): Promise<RawUpstream> {
    const peer = await upstream.next()
    peer.send(settings(values))
    return new RawUpstream(peer)
  }

  /** Waits for the head of the `index`th request. Returns its stream. */
  async request(index = 0): Promise<number> {
    const heads = (): number[] => this.#frames(HEADERS).map(({ stream }) => stream)
    await this.peer.until(() => heads().length > index, 'the head of a request')
    return heads()[index]!
  }

  /** The codes of the resets that came. */
  get resets(): number[] {
    return this.#frames(RST_STREAM).map(({ payload }) => payload.readUInt32BE())
  }

  /** Pings that were not answers. */
  get pings(): Buffer[] {
    return this.#frames(PING).flatMap(({ flags, payload }) => (flags === 0 ? [payload] : []))
  }

  #frames(type: number): ReturnType<typeof framesOf> {
    return framesOf(this.peer.received).filter((one) => one.type === type)
  }
}

/** Sends one request, and lets the upstream say `answer` to it. */
async function ask(
  t: TestContext,
  request: TestRequest,
  answer: (origin: RawUpstream, stream: number) => void,
): Promise<{ exchange: Exchange; origin: RawUpstream; world: ProxyInWorld }> {
  const world = await testProxy(t, { peer: H2C })
  const exchange = world.proxy.request(request)
  const origin = await RawUpstream.accept(world)
  answer(origin, await origin.request())
  return { exchange: await exchange, origin, world }
}

describe('an HTTP/2 upstream that breaks off before its answer', () => {
  const cases: readonly [string, (o: RawUpstream, s: number) => void, string][] = [
    ['a reset', (o, s) => o.peer.send(rst(s, 2)), 'PGR_UPSTREAM_RESET'],
    ['a reset without an error', (o, s) => o.peer.send(rst(s, 0)), 'PGR_UPSTREAM_RESET'],
    ['a cancel', (o, s) => o.peer.send(rst(s, 8)), 'PGR_UPSTREAM_RESET'],
    ['a wish for HTTP/1.1', (o, s) => o.peer.send(rst(s, 13)), 'PGR_UPSTREAM_RESET'],
    ['GOAWAY with an error', (o, s) => o.peer.send(goaway(s, 11)), 'PGR_UPSTREAM_H2_ERROR'],
    ['a FIN', (o) => o.peer.end(), 'PGR_UPSTREAM_CLOSED'],
    ['a connection reset', (o) => o.peer.reset(), 'PGR_UPSTREAM_READ_FAILED'],
    [
      'a head that is none',
      (o, s) => o.peer.send(frame(HEADERS, END_HEADERS, s, fields({ server: 'x' }))),
      'PGR_UPSTREAM_RESET',
    ],
  ]
  for (const [name, answer, code] of cases) {
    for (const request of [GET, POST]) {
      test(`by ${name} is a 502 (${request.method ?? 'GET'})`, async (t) => {
        const { exchange } = await ask(t, request, answer)
        assert.deepEqual([exchange.status, exchange.error?.code], [502, code])
        assert.equal(exchange.counters['retries'], undefined)
      })
    }
  }
})

describe('a response of an HTTP/2 upstream that is cut', () => {
  const cases: readonly [string, (o: RawUpstream, s: number) => void][] = [
    ['a reset', (o, s) => o.peer.send(rst(s, 2))],
    ['a cancel', (o, s) => o.peer.send(rst(s, 8))],
    ['GOAWAY with an error', (o, s) => o.peer.send(goaway(s, 2))],
    ['a FIN', (o) => o.peer.end()],
    ['GOAWAY and a FIN', (o, s) => o.peer.end(goaway(s, 0))],
    ['a connection reset', (o) => o.peer.reset()],
  ]
  for (const [name, cut] of cases) {
    for (const request of [GET, POST]) {
      test(`by ${name} is no clean end (${request.method ?? 'GET'})`, async (t) => {
        const { exchange } = await ask(t, request, (origin, stream) => {
          origin.peer.send(
            Buffer.concat([HEAD_200(stream), frame(DATA, 0, stream, Buffer.from('part'))]),
          )
          cut(origin, stream)
        })
        assert.deepEqual([exchange.status, exchange.complete], [200, false])
        assert.deepEqual([exchange.text, exchange.failure], ['part', 'ended'])
        assert.equal(exchange.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
      })
    }
  }

  for (const [name, flags, end] of [
    ['ended', END_STREAM, Buffer.alloc(0)],
    ['reset without an error', 0, rst(1, 0)],
  ] as const) {
    test(`short of its Content-Length is no clean end either (${name})`, async (t) => {
      const { exchange } = await ask(t, GET, ({ peer }, stream) => {
        const head = fields({ ':status': '200', 'content-length': '10' })
        peer.send(frame(HEADERS, END_HEADERS, stream, head))
        peer.send(Buffer.concat([frame(DATA, flags, stream, Buffer.from('part')), end]))
      })
      assert.deepEqual([exchange.status, exchange.complete], [200, false])
      assert.equal(exchange.error?.code, 'PGR_RESPONSE_BODY_INCOMPLETE')
    })
  }

  test('by a reset without an error and of no known length is whole: Node ends its own so', async (t) => {
    const { exchange } = await ask(t, GET, ({ peer }, stream) => {
      const data = frame(DATA, 0, stream, Buffer.from('all'))
      peer.send(Buffer.concat([HEAD_200(stream), data, rst(stream, 0)]))
    })
    assert.deepEqual([exchange.text, exchange.complete, exchange.failure], ['all', true, ''])
  })
})

describe('what an HTTP/2 upstream has not looked at', () => {
  for (const request of [GET, POST]) {
    const method = request.method ?? 'GET'
    test(`is sent again after REFUSED_STREAM (${method})`, async (t) => {
      const world = await testProxy(t, { peer: H2C })
      const exchange = world.proxy.request(request)
      const origin = await RawUpstream.accept(world)
      origin.peer.send(rst(await origin.request(), 7))
      const again = await RawUpstream.accept(world)
      again.peer.send(HEAD_200(await again.request(), END_STREAM))
      const { status, attempts, counters } = await exchange
      assert.deepEqual([status, counters['retries']], [200, 1])
      assert.deepEqual(
        attempts.map(({ code }) => code),
        ['PGR_UPSTREAM_RESET', undefined],
      )
    })

    test(`is sent again on another connection after GOAWAY (${method})`, async (t) => {
      const world = await testProxy(t, { peer: { protocol: 'h2c', maxH2Streams: 10 } })
      const exchange = world.proxy.request(request)
      const origin = await RawUpstream.accept(world)
      await origin.request()
      origin.peer.send(goaway(0, 0))
      const other = await RawUpstream.accept(world)
      other.peer.send(HEAD_200(await other.request(), END_STREAM))
      const { status, counters } = await exchange
      assert.deepEqual([status, counters['retries']], [200, 1])
    })
  }

  test('is answered on the connection that goes away where it came before the last', async (t) => {
    const world = await testProxy(t, { peer: { protocol: 'h2c', maxH2Streams: 10 } })
    const first = world.proxy.request(GET)
    const origin = await RawUpstream.accept(world)
    const stream = await origin.request()
    origin.peer.send(goaway(stream, 0))
    await world.world.idle()
    const second = world.proxy.request(GET)
    const other = await RawUpstream.accept(world)
    other.peer.send(HEAD_200(await other.request(), END_STREAM))
    assert.equal((await second).status, 200)
    origin.peer.send(HEAD_200(stream, END_STREAM))
    assert.equal((await first).status, 200)
    assert.equal(world.world.counters.get('retries'), 0)
    await origin.peer.untilEnded()
  })
})

test('a peer that wants HTTP/1.1 gets the request so, and those after it', async (t) => {
  const peer: PeerOptions = { tls: true, sni: 'a.example', protocol: 'auto' }
  const world = await testProxy(t, { peer })
  world.world.network.serveTls(UPSTREAM, { names: ['a.example'], alpn: ['h2', 'http/1.1'] })
  const exchange = world.proxy.request(POST)
  const origin = await RawUpstream.accept(world)
  const stream = await origin.request()
  world.upstream.answer(reply(200, 'ok'))
  origin.peer.send(rst(stream, 13))
  const { status, attempts } = await exchange
  assert.deepEqual([status, attempts[0]?.code], [200, 'PGR_UPSTREAM_RESET'])
  assert.equal((await world.proxy.get('/')).attempts[0]?.reused, true)
  assert.deepEqual(
    world.upstream.requests.map(({ method }) => method),
    ['POST', 'GET'],
  )
})

describe('an upstream that does not speak HTTP/2', () => {
  const cases: readonly [string, (peer: TestPeer) => void, string][] = [
    [
      'answers in HTTP/1',
      (peer) => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'PGR_UPSTREAM_H2_ERROR',
    ],
    ['closes', (peer) => peer.end(), 'PGR_UPSTREAM_H2_ERROR'],
    ['resets', (peer) => peer.reset(), 'PGR_UPSTREAM_H2_ERROR'],
    ['takes no requests', (peer) => peer.send(settings({ 3: 0 })), 'PGR_UPSTREAM_H2_ERROR'],
  ]
  for (const [name, answer, code] of cases) {
    test(`and ${name} is a 502, and nothing was sent`, async (t) => {
      const world = await testProxy(t, { peer: H2C })
      const exchange = world.proxy.request(POST)
      const peer = await world.upstream.next()
      answer(peer)
      const { status, error, hooks } = await exchange
      assert.deepEqual([status, error?.code], [502, code])
      assert.ok(!hooks.some(({ name: hook }) => hook === 'connectedToUpstream'))
      assert.deepEqual(
        framesOf(peer.received).filter(({ type }) => type === HEADERS),
        [],
      )
      await peer.untilEnded()
    })
  }

  test('and says nothing is a 504 after the connect time-out', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      peer: { protocol: 'h2c', connectTimeoutMs: 700 },
    })
    const exchange = proxy.request(GET)
    const peer = await upstream.next()
    const { status, error, tookMs } = await exchange
    assert.deepEqual([status, error?.code, tookMs], [504, 'PGR_CONNECT_TIMEOUT', 700])
    await peer.untilEnded()
  })
})

describe('an HTTP/2 upstream that is silent', () => {
  test('is a 504, and its stream is cancelled; a sign of life keeps the connection', async (t) => {
    const world = await testProxy(t, { peer: { protocol: 'h2c', readTimeoutMs: 5_000 } })
    const exchange = world.proxy.request(GET)
    const origin = await RawUpstream.accept(world)
    await origin.request()
    const { status, error, tookMs } = await exchange
    assert.deepEqual([status, error?.code, tookMs], [504, 'PGR_UPSTREAM_READ_TIMEOUT', 5_000])
    await world.world.idle()
    assert.deepEqual([origin.resets, origin.pings.length], [[8], 1])
    origin.peer.send(frame(PING, 1, 0, origin.pings[0]))
    await world.world.advance(30_000)
    assert.equal(origin.peer.ended, false)
  })

  test('and dead loses its connection', async (t) => {
    const world = await testProxy(t, { peer: { protocol: 'h2c', readTimeoutMs: 5_000 } })
    const exchange = world.proxy.request(GET)
    const origin = await RawUpstream.accept(world)
    await origin.request()
    assert.equal((await exchange).status, 504)
    await world.world.advance(4_900)
    assert.equal(origin.peer.ended, false)
    await origin.peer.untilEnded(200)
  })

  test('because it broke the rules loses its connection too', async (t) => {
    const world = await testProxy(t, { peer: { protocol: 'h2c', readTimeoutMs: 5_000 } })
    const exchange = world.proxy.request(GET)
    const origin = await RawUpstream.accept(world)
    await origin.request()
    origin.peer.send('HTTP/1.1 400 Bad Request')
    // Node 20 keeps a malformed frame to itself, so there the silence after it is what ends the request.
    const isToldOfIt = Number.parseInt(process.versions.node, 10) >= 22
    assert.equal((await exchange).status, isToldOfIt ? 502 : 504)
    await origin.peer.untilEnded(5_100)
  })

  test('is pinged, and what waits on it fails when it is dead', async (t) => {
    const peer: PeerOptions = { protocol: 'h2c', h2PingIntervalMs: 10_000 }
    const world = await testProxy(t, { peer })
    const exchange = world.proxy.request(GET)
    const origin = await RawUpstream.accept(world)
    await origin.request()
    await world.world.advance(10_050)
    assert.equal(origin.pings.length, 1)
    origin.peer.send(frame(PING, 1, 0, origin.pings[0]))
    await world.world.advance(10_050)
    assert.equal(origin.pings.length, 2)
    const { status, error, tookMs } = await exchange
    assert.deepEqual([status, error?.code], [502, 'PGR_UPSTREAM_H2_ERROR'])
    assert.ok(tookMs >= 25_000 && tookMs <= 25_250)
    await origin.peer.untilEnded()
  })
})

describe('a client that leaves', () => {
  for (const request of [
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc',
  ]) {
    test(`cancels the stream, and no end of the request is sent (${request.slice(0, 4)})`, async (t) => {
      const world = await testProxy(t, { peer: H2C })
      const client = await world.proxy.client()
      client.send(request)
      const origin = await RawUpstream.accept(world)
      const stream = await origin.request()
      await world.world.idle()
      client.peer.reset()
      await origin.peer.until(() => origin.resets.length > 0, 'a reset')
      assert.deepEqual(origin.resets, [8])
      const ends = framesOf(origin.peer.received).filter(
        (one) => one.stream === stream && one.type === DATA && (one.flags & END_STREAM) !== 0,
      )
      assert.deepEqual(ends, [])
      assert.equal(origin.peer.ended, false)
    })
  }
})
