import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { TLV, tlvText, writeProxyHeader } from '../../src/protocols/index.js'
import type { ProxyHeaderParts } from '../../src/protocols/index.js'
import type { ListenerSettings } from '../../src/proxy/index.js'
import type { LogFields } from '../../src/observability/index.js'
import { reply } from '../../src/testing/index.js'
import type { TestClient, TestWorld } from '../../src/testing/index.js'
import type { ConnectionDigest } from '../../src/transport/index.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld } from '../helpers/test-world.js'

const OK = reply(200, 'ok')
const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.2 55555 443\r\n'
const PARTS: ProxyHeaderParts = {
  version: 2,
  command: 'proxy',
  transport: 'stream',
  source: { kind: 'ip', host: '2001:db8::1', port: 55_555 },
  destination: { kind: 'ip', host: '2001:db8::2', port: 443 },
  tlvs: [{ type: TLV.AUTHORITY, value: Buffer.from('a.example') }],
}
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

interface Setup extends ProxyInWorld {
  /** What the hooks saw of each request's connection. */
  readonly seen: ConnectionDigest[]
}

async function listening(
  t: TestContext,
  listener: ListenerSettings = { proxyProtocol: true },
  options = {},
): Promise<Setup> {
  const seen: ConnectionDigest[] = []
  const requestFilter = ({ digest }: { digest: ConnectionDigest }): void => void seen.push(digest)
  const setup = await testProxy(t, { listener, options, hooks: { requestFilter } })
  setup.upstream.answer(OK)
  return { ...setup, seen }
}

/** Sends `bytes` as they are, and says whether the proxy closed without a word. */
async function isClosed({ world, proxy }: ProxyInWorld, bytes: string, from?: string) {
  const client = await proxy.client(from === undefined ? {} : { from })
  if (bytes !== '') client.send(bytes)
  await world.idle()
  const { ended, rest } = client.peer
  if (!ended) await client.close()
  return ended && rest === ''
}

/** The fields of the log lines about refused connections. */
function refusals({ log }: TestWorld): LogFields[] {
  return log.flatMap(({ message, fields }) => (message === 'connection refused' ? [fields] : []))
}

async function ask(client: TestClient, before: string | Buffer): Promise<string> {
  client.send(before)
  client.send(REQUEST)
  return (await client.exchange()).text
}

describe('a listener with proxyProtocol', () => {
  test('takes the client from a header of version 1, and keeps the sender', async (t) => {
    const { proxy, seen } = await listening(t)
    const client = await proxy.client({ from: '10.9.0.1' })
    assert.equal(await ask(client, V1), 'ok')
    const [digest] = seen
    assert.equal(digest?.peerAddress, '192.0.2.1:55555')
    assert.equal(digest.peerIp, '192.0.2.1')
    assert.equal(digest.localAddress, '198.51.100.2:443')
    assert.equal(digest.proxyProtocol?.peerAddress, client.address)
    assert.equal(digest.proxyProtocol.localAddress, '10.0.0.254:80')
    assert.equal(digest.proxyProtocol.header.version, 1)
    await client.close()
  })

  test('takes it from one of version 2, with its fields', async (t) => {
    const { proxy, seen } = await listening(t)
    const client = await proxy.client()
    assert.equal(await ask(client, writeProxyHeader(PARTS)), 'ok')
    const [digest] = seen
    assert.equal(digest?.peerAddress, '[2001:db8::1]:55555')
    assert.equal(tlvText(digest.proxyProtocol!.header.tlvs, TLV.AUTHORITY), 'a.example')
    await client.close()
  })

  test('serves all requests of the connection, header and request in any pieces', async (t) => {
    const { world, proxy, seen } = await listening(t)
    const bytes = V1 + REQUEST
    for (let at = 0; at <= bytes.length; at += 7) {
      const client = await proxy.client()
      client.send(bytes.slice(0, at))
      await world.advance(100)
      client.send(bytes.slice(at))
      assert.equal((await client.exchange()).text, 'ok', `cut at byte ${at}`)
      assert.equal((await client.get('/')).text, 'ok')
      await client.close()
    }
    assert.ok(seen.every(({ peerIp }) => peerIp === '192.0.2.1'))
  })

  test('serves pipelined requests that came with the header', async (t) => {
    const { proxy, seen } = await listening(t)
    const client = await proxy.client()
    client.send(V1 + REQUEST + REQUEST)
    const [first, second] = [client.exchange(), client.exchange()]
    assert.deepEqual([(await first).text, (await second).text], ['ok', 'ok'])
    assert.equal(seen.length, 2)
    await client.close()
  })

  test('leaves the addresses as they are where the header tells of none', async (t) => {
    const { proxy, seen } = await listening(t)
    const local = writeProxyHeader({ ...PARTS, command: 'local', tlvs: [] })
    for (const header of ['PROXY UNKNOWN\r\n', local]) {
      const client = await proxy.client({ from: '10.9.0.1' })
      assert.equal(await ask(client, header), 'ok')
      assert.equal(seen.at(-1)?.peerAddress, client.address)
      assert.equal(seen.at(-1)?.peerIp, '10.9.0.1')
      await client.close()
    }
  })

  test('closes without an answer what has no header, and logs it once per second', async (t) => {
    const setup = await listening(t)
    const { world, seen } = setup
    const bad = [REQUEST, 'PROXY TCP4 1.2.3.4\r\n', 'PRI * HTTP/2.0\r\n\r\n', '\x16\x03\x01']
    for (const bytes of bad) assert.equal(await isClosed(setup, bytes), true, bytes)
    assert.equal(refusals(world).length, 1)
    const { code, client, refused } = refusals(world)[0]!
    assert.deepEqual([code, client, refused], ['PGR_PROXY_HEADER_INVALID', '10.255.0.1', 1])
    await world.advance(1_000)
    await isClosed(setup, REQUEST)
    assert.equal(refusals(world)[1]?.['refused'], bad.length)
    assert.equal(world.counters.get('downstreamConnectionsRefused'), bad.length + 1)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
    assert.equal(seen.length, 0)
  })

  test('closes a connection whose header does not come in time', async (t) => {
    const { world, proxy } = await listening(t, undefined, { timeouts: { headerMs: 5_000 } })
    const [silent, begun] = [await proxy.client(), await proxy.client()]
    begun.send('PROXY ')
    await world.advance(4_900)
    assert.deepEqual([silent.peer.ended, begun.peer.ended], [false, false])
    await world.advance(300)
    assert.deepEqual([silent.peer.ended, begun.peer.ended], [true, true])
    assert.equal(refusals(world)[0]?.['code'], 'PGR_PROXY_HEADER_TIMEOUT')
  })

  test('says nothing of a client that comes and goes, and something of half a header', async (t) => {
    const { world, proxy } = await listening(t)
    const silent = await proxy.client()
    silent.peer.end()
    await world.idle()
    assert.deepEqual([silent.peer.ended, refusals(world).length], [true, 0])
    const begun = await proxy.client()
    begun.send('PROXY TCP4')
    begun.peer.end()
    await world.idle()
    assert.match(String(refusals(world)[0]?.['reason']), /ended within it/)
  })

  test('closes a source that is not trusted before it is read', async (t) => {
    const setup = await listening(t, { proxyProtocol: { trusted: ['10.9.0.0/16'] } })
    assert.equal(await isClosed(setup, '', '10.8.0.1'), true)
    assert.equal(await isClosed(setup, '', '10.9.3.1'), false)
    assert.match(String(refusals(setup.world)[0]?.['reason']), /not a trusted sender/)
    const client = await setup.proxy.client({ from: '10.9.3.1' })
    assert.equal(await ask(client, V1), 'ok')
    await client.close()
  })

  test('limits connections by the client that the header tells of', async (t) => {
    const { world, proxy } = await listening(t, undefined, { maxConnectionsPerClient: 1 })
    const other = V1.replace('192.0.2.1', '192.0.2.9')
    const [first, second, third] = [
      await proxy.client(),
      await proxy.client(),
      await proxy.client(),
    ]
    assert.equal(await ask(first, V1), 'ok')
    second.send(V1)
    assert.equal(await ask(third, other), 'ok')
    assert.deepEqual([first.open, second.open, third.open], [true, false, true])
    await first.close()
    const fourth = await proxy.client()
    assert.equal(await ask(fourth, V1), 'ok')
    assert.equal(world.counters.get('downstreamConnectionsLimited'), 1)
    await Promise.all([third.close(), fourth.close()])
  })

  test('counts connections whose header is awaited against the limit of the listener', async (t) => {
    const { proxy } = await listening(t, undefined, { maxConnections: 2 })
    const [first, second, third] = [
      await proxy.client(),
      await proxy.client(),
      await proxy.client(),
    ]
    assert.equal(await ask(first, V1), 'ok')
    assert.deepEqual([first.open, second.open, third.open], [true, true, false])
    await Promise.all([first.close(), second.close()])
  })

  test('closes connections without a header at a stop', async (t) => {
    const { world, proxy } = await listening(t)
    const client = await proxy.client()
    await proxy.stop()
    assert.equal(client.peer.ended, true)
    assert.equal(world.clock.nowMs(), 0)
  })
})

describe('a listener with a filter', () => {
  test('allows and denies by lists, deny first', async (t) => {
    const setup = await listening(t, { allow: ['10.9.0.0/16'], deny: ['10.9.1.0/24'] })
    const { proxy, world } = setup
    assert.equal(await isClosed(setup, '', '10.8.0.1'), true)
    assert.equal(await isClosed(setup, '', '10.9.1.7'), true)
    assert.equal((await proxy.get('/', { from: '10.9.2.7' })).text, 'ok')
    assert.equal(world.counters.get('downstreamConnectionsRefused'), 2)
    assert.equal(refusals(world)[0]?.['reason'], 'denied by the filter')
  })

  test('decides by the address in the PROXY header', async (t) => {
    const setup = await listening(t, { proxyProtocol: true, deny: ['192.0.2.0/24'] })
    assert.equal(await isClosed(setup, V1), true)
    const client = await setup.proxy.client()
    assert.equal(await ask(client, V1.replace('192.0.2.1', '203.0.113.5')), 'ok')
    await client.close()
  })

  test('asks a filter of the program, which may take its time', async (t) => {
    const asked: string[] = []
    const setup = await listening(t, {
      proxyProtocol: true,
      connectionFilter: {
        shouldAccept: async ({ peerIp }) => {
          asked.push(peerIp)
          await Promise.resolve()
          return peerIp !== '192.0.2.1'
        },
      },
    })
    assert.equal(await isClosed(setup, V1 + REQUEST), true)
    const client = await setup.proxy.client()
    assert.equal(await ask(client, V1.replace('192.0.2.1', '192.0.2.2')), 'ok')
    assert.deepEqual(asked, ['192.0.2.1', '192.0.2.2'])
    await client.close()
  })

  test('closes when the filter throws, rejects or never decides', async (t) => {
    const verdicts = [
      () => {
        throw new Error('no list')
      },
      () => Promise.reject(new Error('no list')),
      () => new Promise<boolean>(() => undefined),
    ]
    for (const shouldAccept of verdicts) {
      const setup = await listening(t, { connectionFilter: { shouldAccept } })
      const client = await setup.proxy.client()
      client.send(REQUEST)
      await setup.world.advance(61_000)
      assert.equal(client.open, false)
      assert.equal(refusals(setup.world)[0]?.['code'], 'PGR_HOOK_FAILED')
    }
  })

  test('refuses to start with a list that is none', async (t) => {
    const error = { code: 'PGR_OPTION_INVALID' }
    await assert.rejects(listening(t, { deny: ['10.0.0.0/40'] }), error)
    await assert.rejects(listening(t, { proxyProtocol: { trusted: ['lb'] } }), error)
  })
})
