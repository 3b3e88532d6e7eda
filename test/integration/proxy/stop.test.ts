import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { otherSocketsTurn } from '../../helpers/connection-pair.js'
import { PromiseGate } from '../../helpers/promise-gate.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import { fieldOf } from '../../helpers/raw-message.js'
import { RawPeer } from '../../helpers/raw-peer.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** A stop in progress, and whether it is over. */
class Stop {
  over = false
  readonly done: Promise<void>

  constructor(proxy: ProxyUnderTest) {
    this.done = proxy.service.stop().then(() => {
      this.over = true
    })
  }
}

describe('a graceful stop', () => {
  test('is over at once when nothing is connected', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const { port } = proxy
    await proxy.service.stop()
    await assert.rejects(RawPeer.connect(port), { code: 'ECONNREFUSED' })
  })

  test('closes idle clients and idle upstream connections at once', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer(OK)
    const [used, fresh, begun] = [await proxy.client(), await proxy.client(), await proxy.client()]
    used.send(GET)
    await used.response()
    begun.send('GET / HT')
    await proxy.until(() => proxy.counters.get('downstreamConnectionsOpen') === 3, 'all to come')
    await proxy.until(() => proxy.network.accepted.some((it) => it.bytesRead === 8), 'the bytes')
    await new Stop(proxy).done
    for (const client of [used, fresh, begun]) await client.untilEnded()
    await proxy.upstream.peers[0]?.untilEnded()
    assert.equal(used.rest + fresh.text + begun.text, '')
  })

  test('lets a request in flight end, tells its client to go, and takes nobody new', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const { port } = proxy
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    const stop = new Stop(proxy)
    await assert.rejects(RawPeer.connect(port), { code: 'ECONNREFUSED' })
    assert.equal(stop.over, false)
    origin.send(OK)
    const answer = await client.response()
    assert.deepEqual([answer.body, fieldOf(answer, 'Connection')], ['ok', 'close'])
    await client.untilEnded()
    assert.equal(client.errorCode, '')
    await stop.done
    await origin.untilEnded()
  })

  test('lets a body in flight pass whole, and then closes', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')
    await client.untilText('ab')
    const stop = new Stop(proxy)
    await otherSocketsTurn(t)
    origin.send('cd')
    assert.equal((await client.response()).body, 'abcd')
    await client.untilEnded()
    await stop.done
  })

  test('lets an upload in flight pass whole', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\nab')
    const stop = new Stop(proxy)
    client.send('cd')
    assert.equal((await origin.request()).body, 'abcd')
    origin.send(OK)
    assert.equal(fieldOf(await client.response(), 'Connection'), 'close')
    await stop.done
  })

  test('answers no request that waits behind the one in flight', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET + GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    const stop = new Stop(proxy)
    origin.send(OK)
    await client.response()
    await client.untilEnded()
    client.end()
    await stop.done
    assert.equal(client.rest, '')
    assert.equal(client.errorCode, '')
    assert.equal(proxy.logged.length, 1)
  })

  test('waits for a hook that is at work', async (t) => {
    const gate = new PromiseGate()
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter: () => gate.pass() } })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET)
    await gate.reached()
    const stop = new Stop(proxy)
    await otherSocketsTurn(t)
    assert.equal(stop.over, false)
    gate.open()
    assert.equal((await client.response()).body, 'ok')
    await stop.done
  })

  test('is over when the last client leaves by itself', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    const stop = new Stop(proxy)
    client.destroy()
    await stop.done
    await origin.untilEnded()
  })

  test('may be asked for twice', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    const origin = await proxy.upstream.next()
    await origin.request()
    const stops = [new Stop(proxy), new Stop(proxy)]
    await otherSocketsTurn(t)
    assert.deepEqual(
      stops.map((stop) => stop.over),
      [false, false],
    )
    origin.send(OK)
    await Promise.all(stops.map((stop) => stop.done))
  })
})

describe('destroy', () => {
  test('cuts everything at once, and each request is still logged', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const { port } = proxy
    const [idle, waiting, reading] = [
      await proxy.client(),
      await proxy.client(),
      await proxy.client(),
    ]
    waiting.send(GET)
    const first = await proxy.upstream.next()
    await first.request()
    reading.send(GET)
    const second = await proxy.upstream.next()
    await second.request()
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
    await reading.untilText('abc')
    proxy.service.destroy()
    for (const peer of [idle, waiting, reading, first, second]) await peer.untilEnded()
    await proxy.untilLogged(2)
    await assert.rejects(RawPeer.connect(port), { code: 'ECONNREFUSED' })
    assert.equal(waiting.text, '')
  })

  test('ends a graceful stop that waits', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(GET)
    await (await proxy.upstream.next()).request()
    const stop = new Stop(proxy)
    proxy.service.destroy()
    await stop.done
    await client.untilEnded()
  })
})

describe('a service', () => {
  test('that listens nowhere is a mistake', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    assert.match(proxy.service.addresses[0]!, /^127\.0\.0\.1:\d+$/)
    assert.ok(proxy.messages('info').includes(`listening on ${proxy.service.addresses[0]!}`))
    assert.throws(
      () => {
        proxy.service.addListener('nonsense::1')
      },
      { code: 'PGR_ADDRESS_INVALID' },
    )
  })
})
