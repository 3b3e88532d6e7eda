import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { testWorld } from '../../test/helpers/test-world.js'
import type { TestWorld, TestWorldOptions } from '../testing/index.js'
import { formatAddress } from './address.js'
import type { Connection } from './connection.js'
import { Connector } from './connector.js'
import type { ConnectorOptions } from './connector.js'
import type { DialOptions } from './environment.js'
import { HttpPeer } from './http-peer.js'
import type { PeerOptions } from './http-peer.js'
import type { TlsClientOptions } from './tls-client-options.js'

const ONE = '10.0.0.1:80'
const TLS = { tls: true, sni: 'a.example' }

describe('Connector', () => {
  test('connects, keeps what is released, and counts both', async (t) => {
    const { connector, connect, dialled, world } = setup(t)
    world.upstream(ONE)
    const peer = new HttpPeer(ONE)
    assert.equal(connector.takeIdle(peer), undefined)
    const connection = await connect(ONE)
    connector.release(peer, connection)
    assert.equal(connector.idleConnections, 1)
    assert.equal(connector.takeIdle(new HttpPeer(ONE)), connection)
    assert.deepEqual(dialled(), [ONE])
    assert.equal(world.counters.get('upstreamConnectionsOpened'), 1)
    assert.equal(world.counters.get('upstreamConnectionsReused'), 1)
  })

  test('starts TLS with what the peer wants, and with the default CA', async (t) => {
    const { connect, world, dials, handshakes } = setup(t, { ca: 'default CA' })
    world.upstream('10.0.0.1:443', { tls: 'a.example' })
    const connection = await connect('10.0.0.1:443', TLS)
    assert.notEqual(connection.digest.tls, null)
    assert.equal(dials()[0]?.forTls, true)
    const [tls] = handshakes()
    assert.deepEqual([tls?.sni, tls?.ca], ['a.example', 'default CA'])
  })

  test('tries the addresses of a name in turn', async (t) => {
    const names = { 'a.example': ['10.0.0.1', '::1', '10.0.0.3'] }
    const { connect, world, dialled } = setup(t, {}, { names })
    world.upstream('[::1]:80').blackhole()
    world.upstream('10.0.0.3:80')
    const connection = await connect('a.example:80', { connectTimeoutMs: 100 })
    assert.equal(connection.digest.peerAddress, '10.0.0.3:80')
    assert.deepEqual(dialled(), ['10.0.0.1:80', '[::1]:80', '10.0.0.3:80'])
    assert.equal(world.clock.nowMs(), 100)
    assert.deepEqual(hanging(world), [])
  })

  test('fails with the last error when no address answers', async (t) => {
    const names = { 'a.example': ['10.0.0.1', '10.0.0.2'] }
    const { connect, world, dialled } = setup(t, {}, { names })
    await assert.rejects(connect('a.example:80'), {
      code: 'PGR_CONNECT_REFUSED',
      message: 'connect 10.0.0.2:80: connection refused',
    })
    assert.equal(dialled().length, 2)
    assert.equal(world.counters.get('upstreamConnectionsOpened'), 0)
  })

  test('fails when the name is unknown', async (t) => {
    const { connect } = setup(t)
    await assert.rejects(connect('nowhere.example:80'), { code: 'PGR_RESOLVE_FAILED' })
  })

  test('gives up connecting after the connect time-out', async (t) => {
    const { connect, world } = setup(t)
    world.upstream(ONE).blackhole()
    const failing = assert.rejects(connect(ONE, { connectTimeoutMs: 200 }), {
      code: 'PGR_CONNECT_TIMEOUT',
      message: 'connect 10.0.0.1:80: no answer in 200 ms',
    })
    await world.advance(199)
    assert.deepEqual(hanging(world), ['a dial of 10.0.0.1:80'])
    await world.advance(1)
    await failing
    assert.deepEqual(world.leftovers(), [])
  })

  test('gives up the handshake after the connect time-out and closes the connection', async (t) => {
    const { connect, world, handshakes } = setup(t)
    const upstream = world.upstream('10.0.0.1:443', { tls: 'a.example' })
    world.network.setLink('10.0.0.1:443', { latencyMs: 100 })
    const failing = assert.rejects(connect('10.0.0.1:443', TLS), {
      code: 'PGR_TLS_HANDSHAKE_TIMEOUT',
    })
    await world.advance(200)
    assert.equal(handshakes().length, 1)
    upstream.partition()
    await world.advance(999)
    assert.deepEqual(hanging(world), ['a TLS handshake with 10.0.0.1:443'])
    await world.advance(1)
    await failing
    assert.deepEqual(world.leftovers(), [])
  })

  test('a failed handshake leaves nothing open', async (t) => {
    const { connect, world } = setup(t)
    world.upstream('10.0.0.1:443')
    await assert.rejects(connect('10.0.0.1:443', TLS), { code: 'PGR_TLS_HANDSHAKE_FAILED' })
    assert.deepEqual(world.leftovers(), [])
  })

  test('the total time-out holds over all addresses and the handshake', async (t) => {
    const hosts = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']
    const { connect, world, dialled } = setup(t, {}, { names: { 'a.example': hosts } })
    for (const host of hosts) world.upstream(`${host}:80`).blackhole()
    await assert.rejects(connect('a.example:80', { connectTimeoutMs: 1_001 }), {
      code: 'PGR_CONNECT_TIMEOUT',
      message: 'connect a.example:80: not ready after 3000 ms in all',
    })
    assert.equal(dialled().length, 3)
    assert.equal(world.clock.nowMs(), 3_000)
    assert.deepEqual(world.leftovers(), [])
  })

  test('the total time-out ends a name look-up that hangs', async (t) => {
    const { connect, world } = setup(t)
    t.mock.method(world.env.network, 'resolve', () => new Promise(() => {}))
    await assert.rejects(connect('a.example:80'), { code: 'PGR_CONNECT_TIMEOUT' })
    assert.equal(world.clock.nowMs(), 3_000)
  })

  test('closes a connection that arrives after its time, from a network that ignores signals', async (t) => {
    const { connect, world } = setup(t)
    const upstream = world.upstream(ONE)
    const { network } = world.env
    const dial = network.dial.bind(network)
    t.mock.method(network, 'dial', async (...[address]: Parameters<typeof dial>) => {
      await world.sleep(2_000)
      return dial(address, {})
    })
    await assert.rejects(connect(ONE), { code: 'PGR_CONNECT_TIMEOUT' })
    assert.equal(upstream.connections.length, 0)
    await world.advance(1_000)
    assert.equal(upstream.connections[0]?.ended, true)
    assert.deepEqual(world.leftovers(), [])
  })

  test('a signal ends the attempt with its reason', async (t) => {
    const { connector, world, dialled } = setup(t)
    world.upstream(ONE).blackhole()
    const controller = new AbortController()
    const peer = new HttpPeer(ONE)
    const failing = assert.rejects(connector.connect(peer, controller.signal), /client left/)
    await world.idle()
    controller.abort(new Error('client left'))
    await failing
    await world.idle()
    assert.deepEqual(world.leftovers(), [])
    await assert.rejects(connector.connect(peer, controller.signal), /client left/)
    assert.equal(dialled().length, 1)
  })

  test('without time-outs nothing is set on the clock', async (t) => {
    const { connector, world } = setup(t)
    world.upstream(ONE).blackhole()
    const controller = new AbortController()
    const options = { connectTimeoutMs: 0, totalConnectTimeoutMs: 0 }
    const connecting = connector.connect(new HttpPeer(ONE, options), controller.signal)
    const failing = assert.rejects(connecting, /enough/)
    await world.idle()
    assert.equal(world.clock.pending, 0)
    controller.abort(new Error('enough'))
    await failing
  })

  test('connects from the addresses that fit, the peer’s own first', async (t) => {
    const { connect, world, dials } = setup(t, {
      clientBindToIpv4: ['127.0.0.2', '127.0.0.3'],
      clientBindToIpv6: ['::2'],
    })
    for (const address of [ONE, '[::1]:80', 'unix:/run/a.sock']) world.upstream(address)
    const from = async (address: string, options: PeerOptions = {}): Promise<string> => {
      const { localAddress } = (await connect(address, options)).digest
      return localAddress.replace(/:\d+$/, '')
    }
    const picked = new Set<string>()
    for (let attempt = 0; attempt < 40; attempt++) picked.add(await from(ONE))
    assert.deepEqual([...picked].sort(), ['127.0.0.2', '127.0.0.3'])
    assert.equal(await from('[::1]:80'), '[::2]')
    assert.equal(await from(ONE, { bindTo: '127.0.0.9' }), '127.0.0.9')
    await connect('unix:/run/a.sock', { bindTo: '127.0.0.9' })
    assert.equal(dials().at(-1)?.localAddress, undefined)
  })

  test('refuses to connect from what is no address', async (t) => {
    const { connect, dialled } = setup(t, { clientBindToIpv4: ['eth0'] })
    await assert.rejects(connect(ONE), { code: 'PGR_BIND_FAILED' })
    assert.deepEqual(dialled(), [])
  })

  test('refuses TLS over a unix socket without a name before it connects', async (t) => {
    const { connect, dialled } = setup(t)
    await assert.rejects(connect('unix:/run/a.sock', { tls: true }), { code: 'PGR_OPTION_INVALID' })
    assert.deepEqual(dialled(), [])
  })

  test('close closes what is idle now and what is released later', async (t) => {
    const { connector, connect, world } = setup(t)
    world.upstream(ONE)
    const [idle, used] = [await connect(ONE), await connect(ONE)]
    connector.release(new HttpPeer(ONE), idle)
    connector.close()
    connector.release(new HttpPeer(ONE), used)
    assert.deepEqual(world.leftovers(), [])
  })
})

interface Setup {
  readonly world: TestWorld
  readonly connector: Connector
  /** Connects, as time passes; what is made is closed after the test. */
  readonly connect: (address: string, options?: PeerOptions) => Promise<Connection>
  /** Addresses that were dialled, in order. */
  readonly dialled: () => string[]
  /** Options of the dials and handshakes, in order. */
  readonly dials: () => DialOptions[]
  readonly handshakes: () => TlsClientOptions[]
}

function setup(
  t: TestContext,
  options: ConnectorOptions = {},
  worldOptions: TestWorldOptions = {},
): Setup {
  const opened: Connection[] = []
  const world = testWorld(t, worldOptions, () => {
    connector.close()
    for (const connection of opened) connection.destroy()
  })
  const { env, counters } = world
  const connector = new Connector({ env, counters, ...options })
  const dial = t.mock.method(env.network, 'dial').mock
  const startTls = t.mock.method(env.network, 'startTls').mock
  const connect = async (address: string, peer?: PeerOptions): Promise<Connection> => {
    const connection = await world.run(connector.connect(new HttpPeer(address, peer)))
    opened.push(connection)
    return connection
  }
  return {
    world,
    connector,
    connect,
    dialled: () => dial.calls.map((call) => formatAddress(call.arguments[0])),
    dials: () => dial.calls.map((call) => call.arguments[1]),
    handshakes: () => startTls.calls.map((call) => call.arguments[1]),
  }
}

/** What the connector waits for. */
function hanging(world: TestWorld): string[] {
  return world.leftovers().filter((what) => /^a (?:dial|TLS handshake)/.test(what))
}
