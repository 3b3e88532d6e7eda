import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Backend, TcpHealthCheck } from '../../src/load-balancing/index.js'
import { TLV, tlvText } from '../../src/protocols/index.js'
import { reply } from '../../src/testing/index.js'
import type { TestWorld } from '../../src/testing/index.js'
import { Connector, HttpPeer } from '../../src/transport/index.js'
import type {
  ConnectProxyOptions,
  Connection,
  ConnectionDigest,
  PeerOptions,
} from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { UPSTREAM, testProxy, testWorld } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.2 55555 443\r\n'

describe('a peer with proxyProtocol', () => {
  for (const version of [1, 2] as const) {
    test(`is told of the client in version ${version}, by proxies in a row`, async (t) => {
      const seen: string[] = []
      const {
        world,
        proxy: back,
        upstream,
      } = await testProxy(t, {
        listen: '10.0.0.20:80',
        // Of the two proxies only one is looked at.
        skipsLogging: true,
        listener: { proxyProtocol: true },
        hooks: {
          requestFilter: ({ digest }) => {
            seen.push(`${digest.peerAddress} ${digest.localAddress}`)
          },
        },
      })
      upstream.answer(OK)
      const peer = new HttpPeer(back.address, { proxyProtocol: version })
      const front = await world.proxy(
        { newCtx: () => undefined, upstreamPeer: () => peer },
        { listener: { proxyProtocol: true } },
      )
      const client = await front.client()
      client.send(`${V1}GET / HTTP/1.1\r\nHost: a\r\n\r\n`)
      assert.equal((await client.exchange()).text, 'ok')
      assert.deepEqual(seen, ['192.0.2.1:55555 198.51.100.2:443'])
      await client.close()
    })
  }

  test('is told of the client before TLS, with what is known of the client’s own', async (t) => {
    const ca = await testCa()
    const tls = { certificates: [await ca.issue({ names: ['a.example'] })] }
    const seen: ConnectionDigest[] = []
    const {
      world,
      proxy: back,
      upstream,
    } = await testProxy(t, {
      listen: '10.0.0.20:443',
      listener: { proxyProtocol: true, tls },
      // Of the two proxies only one is looked at.
      skipsLogging: true,
      hooks: { requestFilter: ({ digest }) => void seen.push(digest) },
    })
    upstream.answer(OK)
    const options = { proxyProtocol: 2, tls: true, sni: 'a.example', ca: ca.cert } as const
    const peer = new HttpPeer(back.address, options)
    const front = await world.proxy(
      { newCtx: () => undefined, upstreamPeer: () => peer },
      { listener: { tls } },
    )
    const alpn = ['http/1.1']
    const handshake = { sni: 'a.example', ca: ca.cert, verifyName: 'a.example', alpn }
    const client = await front.client({ tls: handshake })
    assert.equal((await client.get('/')).text, 'ok')
    const [digest] = seen
    assert.equal(digest?.peerAddress, client.address)
    assert.equal(digest.tls?.sni, 'a.example')
    assert.equal(digest.proxyProtocol?.header.tls?.connected, true)
    assert.equal(tlvText(digest.proxyProtocol.header.tlvs, TLV.AUTHORITY), 'a.example')
    await client.close()
  })

  test('gets one header per connection, and each connection is for one client', async (t) => {
    const { proxy, upstream } = await testProxy(t, { peer: { proxyProtocol: 1 } })
    const [one, two] = [await proxy.client(), await proxy.client()]
    const firstAnswer = one.get('/a')
    const first = await upstream.next()
    await first.untilText('\r\n\r\n')
    first.send(ANSWER)
    assert.equal((await firstAnswer).status, 200)
    const secondAnswer = one.get('/b')
    await first.untilText('/b')
    first.send(ANSWER)
    assert.equal((await secondAnswer).status, 200)
    const otherAnswer = two.get('/c')
    const second = await upstream.next()
    await second.untilText('/c')
    second.send(ANSWER)
    assert.equal((await otherAnswer).status, 200)
    const header = (address: string): string =>
      `PROXY TCP4 10.255.0.1 10.0.0.254 ${address.split(':')[1]} 80\r\n`
    const texts = [0, 1].map((index) => String(upstream.received(index)))
    assert.ok(texts[0]!.startsWith(`${header(one.address)}GET /a HTTP/1.1\r\n`), texts[0])
    assert.equal(texts[0]!.split('PROXY').length, 2)
    assert.ok(texts[1]?.startsWith(`${header(two.address)}GET /c HTTP/1.1\r\n`), texts[1])
    assert.equal(upstream.connections.length, 2)
    await Promise.all([one.close(), two.close()])
  })

  test('is told by a health check that the connection is our own', async (t) => {
    const world = testWorld(t)
    const upstream = world.upstream(UPSTREAM, { answer: null })
    await check(world, { proxyProtocol: 1 })
    assert.equal(String(upstream.received()), 'PROXY UNKNOWN\r\n')
  })
})

describe('a peer behind an HTTP proxy', () => {
  test('is asked for by CONNECT, and reached in the tunnel', async (t) => {
    const headers = { 'Proxy-Authorization': 'Basic YTpi' }
    const { connecting, origin } = await dialling(t, { headers })
    await origin.untilText('\r\n\r\n')
    assert.equal(
      String(origin.received),
      'CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\nProxy-Authorization: Basic YTpi\r\n\r\n',
    )
    // What a success says of a body means nothing (RFC 9110 §9.3.6).
    origin.send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nContent-Le')
    origin.send('ngth: 5\r\n\r\n')
    const connection = await connecting()
    assert.equal(connection.digest.peerAddress, PROXY)
    connection.write('GET')
    await origin.untilText('GET')
    connection.destroy()
  })

  test('gets its own PROXY header in the tunnel, behind the CONNECT', async (t) => {
    const { connecting, origin } = await dialling(t, {}, { proxyProtocol: 1 })
    await origin.untilText('\r\n\r\n')
    assert.doesNotMatch(String(origin.received), /PROXY/)
    origin.send('HTTP/1.1 200 OK\r\n\r\n')
    const connection = await connecting()
    await origin.untilText('PROXY UNKNOWN\r\n')
    connection.destroy()
  })

  const refusals: readonly (readonly [answer: string, message: RegExp])[] = [
    ['HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n', /: 407 Proxy Auth/],
    ['HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n', /: 302 Found$/],
    [
      'HTTP/1.1 503\r\nProxy-Status: p; error=dns_timeout\r\n\r\n',
      /: 503, proxy-status: "p; error/,
    ],
    ['SSH-2.0-OpenSSH\r\n\r\n', /does not start with HTTP/],
    ['HTTP/1.1 200 OK\r\n\r\nearly', /bytes came behind the answer/],
    ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(33), /too many 1xx/],
  ]
  for (const [answer, message] of refusals) {
    test(`is not reached when it says ${JSON.stringify(answer.slice(0, 40))}`, async (t) => {
      const { connecting, origin } = await dialling(t)
      origin.send(answer)
      await assert.rejects(connecting(), { code: 'PGR_CONNECT_PROXY_FAILED', message })
      await origin.untilEnded(1)
    })
  }

  test('is not reached when the proxy closes, or says nothing in time', async (t) => {
    const closing = await dialling(t)
    closing.origin.end()
    await assert.rejects(closing.connecting(), {
      code: 'PGR_CONNECT_PROXY_FAILED',
      message: `CONNECT a.example:80 through ${PROXY}: the proxy closed the connection`,
    })
    const silent = await dialling(t, {}, { connectTimeoutMs: 200 })
    await assert.rejects(silent.connecting(), { code: 'PGR_CONNECT_TIMEOUT' })
    await silent.origin.untilEnded(1)
  })

  test('answers 502 when the proxy refuses, and 504 when it says nothing', async (t) => {
    const { proxy, world } = await testProxy(t, { peer: { proxy: { address: PROXY } } })
    const hop = world.upstream(PROXY, { answer: reply(403, '') })
    const refused = await proxy.get('/')
    assert.deepEqual([refused.status, refused.error?.code], [502, 'PGR_CONNECT_PROXY_FAILED'])
    hop.answer(reply.never())
    assert.equal((await proxy.get('/')).status, 504)
  })

  test('is kept and used again like any other', async (t) => {
    const { proxy, world } = await testProxy(t, { peer: { proxy: { address: PROXY } } })
    const hop = world.upstream(PROXY, { answer: null })
    for (const path of ['/a', '/b']) {
      const answer = proxy.get(path)
      const origin = path === '/a' ? await hop.next() : hop.connections[0]!
      if (path === '/a') {
        await origin.untilText('CONNECT')
        origin.send('HTTP/1.1 200 OK\r\n\r\n')
      }
      await origin.untilText(path)
      origin.send(ANSWER)
      assert.equal((await answer).status, 200)
    }
    assert.equal(hop.connections.length, 1)
  })

  test('is checked through the proxy', async (t) => {
    const world = testWorld(t)
    const hop = world.upstream(PROXY, { answer: reply(403, '') })
    const checking = { proxy: { address: PROXY } }
    await assert.rejects(check(world, checking), { code: 'PGR_CONNECT_PROXY_FAILED' })
    assert.match(String(hop.received()), /^CONNECT 10\.0\.0\.1:80 /)
  })
})

const PROXY = '10.0.0.9:3128'
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

/** Begins to connect to `a.example:80` through a proxy; `origin` is the proxy's side. */
async function dialling(
  t: TestContext,
  proxy: Partial<ConnectProxyOptions> = {},
  options: PeerOptions = {},
) {
  const world = testWorld(t)
  const hop = world.upstream(PROXY, { answer: null })
  const connector = new Connector({ env: world.env, counters: world.counters })
  const peer = new HttpPeer('a.example:80', { ...options, proxy: { address: PROXY, ...proxy } })
  const connection = connector.connect(peer)
  connection.catch(() => undefined)
  const origin = await hop.next()
  return { origin, connecting: (): Promise<Connection> => world.run(connection) }
}

async function check(world: TestWorld, peer: PeerOptions): Promise<void> {
  const { signal } = new AbortController()
  await world.run(new TcpHealthCheck({ peer }).check(new Backend(UPSTREAM), signal, world.env))
  await world.idle()
}
