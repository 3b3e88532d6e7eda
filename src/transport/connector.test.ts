import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counters } from '../observability/index.js'
import { scriptedEnvironment } from '../../test/helpers/scripted-network.js'
import type { ScriptedEnvironment } from '../../test/helpers/scripted-network.js'
import { settle } from '../../test/helpers/settle.js'
import { Connector } from './connector.js'
import type { ConnectorOptions } from './connector.js'
import { HttpPeer } from './http-peer.js'

const TLS_PEER = { tls: true, sni: 'a.example' }

describe('Connector', () => {
  test('connects, keeps what is released, and counts both', async () => {
    const { connector, counters, env } = setup()
    const peer = new HttpPeer('10.0.0.1:80')
    assert.equal(connector.takeIdle(peer), undefined)
    const connection = await connector.connect(peer)
    connector.release(peer, connection)
    assert.equal(connector.idleConnections, 1)
    assert.equal(connector.takeIdle(new HttpPeer('10.0.0.1:80')), connection)
    assert.deepEqual(env.network.dialled, ['10.0.0.1:80'])
    assert.equal(counters.get('upstreamConnectionsOpened'), 1)
    assert.equal(counters.get('upstreamConnectionsReused'), 1)
  })

  test('starts TLS with what the peer wants, and with the default CA', async () => {
    const { connector, env } = setup({ ca: 'default CA' })
    await connector.connect(new HttpPeer('10.0.0.1:443', TLS_PEER))
    assert.equal(env.network.dialOptions[0]?.forTls, true)
    const [tls] = env.network.tlsOptions
    assert.deepEqual([tls?.sni, tls?.ca], ['a.example', 'default CA'])
  })

  test('tries the addresses of a name in turn', async () => {
    const { connector, env } = setup()
    env.network.names.set('a.example', ['10.0.0.1', '::1', '10.0.0.3'])
    env.network.dialAnswers.set('10.0.0.1:80', 'refuse').set('[::1]:80', 'hang')
    const connecting = connector.connect(new HttpPeer('a.example:80', { connectTimeoutMs: 100 }))
    await settle()
    env.clock.advance(150)
    const connection = await connecting
    assert.equal(connection.digest.peerAddress, '10.0.0.3:80')
    assert.deepEqual(env.network.dialled, ['10.0.0.1:80', '[::1]:80', '10.0.0.3:80'])
    assert.equal(env.network.hanging, 0)
  })

  test('fails with the last error when no address answers', async () => {
    const { connector, env, counters } = setup()
    env.network.names.set('a.example', ['10.0.0.1', '10.0.0.2'])
    env.network.dialAnswers.set('10.0.0.1:80', 'refuse').set('10.0.0.2:80', 'refuse')
    const peer = new HttpPeer('a.example:80')
    await assert.rejects(connector.connect(peer), { code: 'PGR_CONNECT_REFUSED' })
    assert.equal(counters.get('upstreamConnectionsOpened'), 0)
  })

  test('fails when the name is unknown', async () => {
    const { connector } = setup()
    const connecting = connector.connect(new HttpPeer('nowhere.example:80'))
    await assert.rejects(connecting, { code: 'PGR_RESOLVE_FAILED' })
  })

  test('gives up connecting after the connect time-out', async () => {
    const { connector, env } = setup()
    env.network.dialAnswers.set('10.0.0.1:80', 'hang')
    const connecting = connector.connect(new HttpPeer('10.0.0.1:80', { connectTimeoutMs: 200 }))
    const failing = assert.rejects(connecting, {
      code: 'PGR_CONNECT_TIMEOUT',
      message: 'connect 10.0.0.1:80: no answer in 200 ms',
    })
    await settle()
    env.clock.advance(199)
    assert.equal(env.network.hanging, 1)
    env.clock.advance(51)
    await failing
    await settle()
    assert.equal(env.network.hanging, 0)
  })

  test('gives up the handshake after the connect time-out and closes the connection', async () => {
    const { connector, env } = setup()
    env.network.tlsAnswers.set('10.0.0.1:443', 'hang')
    const connecting = connector.connect(new HttpPeer('10.0.0.1:443', TLS_PEER))
    const failing = assert.rejects(connecting, { code: 'PGR_TLS_HANDSHAKE_TIMEOUT' })
    await settle()
    assert.equal(env.network.open.size, 1)
    env.clock.advance(1_050)
    await failing
    await settle()
    assert.deepEqual([env.network.open.size, env.network.hanging], [0, 0])
  })

  test('a failed handshake leaves nothing open', async () => {
    const { connector, env } = setup()
    env.network.tlsAnswers.set('10.0.0.1:443', 'refuse')
    const connecting = connector.connect(new HttpPeer('10.0.0.1:443', TLS_PEER))
    await assert.rejects(connecting, { code: 'PGR_TLS_HANDSHAKE_FAILED' })
    assert.equal(env.network.open.size, 0)
  })

  test('the total time-out holds over all addresses and the handshake', async () => {
    const { connector, env } = setup()
    env.network.names.set('a.example', ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'])
    for (const last of [1, 2, 3, 4]) env.network.dialAnswers.set(`10.0.0.${last}:80`, 'hang')
    const connecting = connector.connect(new HttpPeer('a.example:80'))
    const failing = assert.rejects(connecting, {
      code: 'PGR_CONNECT_TIMEOUT',
      message: 'connect a.example:80: not ready after 3000 ms in all',
    })
    for (let step = 0; step < 100; step++) {
      await settle()
      env.clock.advance(50)
    }
    await failing
    // Each address may be a step of the wheel late.
    assert.deepEqual(env.network.dialled.length, 3)
    assert.equal(env.network.hanging, 0)
  })

  test('the total time-out ends a name look-up that hangs', async () => {
    const { connector, env } = setup()
    env.network.resolve = () => new Promise(() => {})
    const failing = assert.rejects(connector.connect(new HttpPeer('a.example:80')), {
      code: 'PGR_CONNECT_TIMEOUT',
    })
    await settle()
    env.clock.advance(3_050)
    await failing
  })

  test('closes a connection that arrives after its time, from a network that ignores signals', async () => {
    const { connector, env } = setup()
    const { network } = env
    let arrive = (): void => {}
    const dial = network.dial.bind(network)
    network.dial = async (address, options) => {
      await new Promise<void>((resolve) => {
        arrive = resolve
      })
      return dial(address, options)
    }
    const failing = assert.rejects(connector.connect(new HttpPeer('10.0.0.1:80')), {
      code: 'PGR_CONNECT_TIMEOUT',
    })
    await settle()
    env.clock.advance(1_050)
    await failing
    arrive()
    await settle()
    assert.deepEqual([network.dialled.length, network.open.size], [1, 0])
  })

  test('a signal ends the attempt with its reason', async () => {
    const { connector, env } = setup()
    env.network.dialAnswers.set('10.0.0.1:80', 'hang')
    const controller = new AbortController()
    const peer = new HttpPeer('10.0.0.1:80')
    const failing = assert.rejects(connector.connect(peer, controller.signal), /client left/)
    await settle()
    controller.abort(new Error('client left'))
    await failing
    await settle()
    assert.equal(env.network.hanging, 0)
    await assert.rejects(connector.connect(peer, controller.signal), /client left/)
    assert.equal(env.network.dialled.length, 1)
  })

  test('without time-outs nothing is set on the clock', async () => {
    const { connector, env } = setup()
    env.network.dialAnswers.set('10.0.0.1:80', 'hang')
    const controller = new AbortController()
    const options = { connectTimeoutMs: 0, totalConnectTimeoutMs: 0 }
    const peer = new HttpPeer('10.0.0.1:80', options)
    const failing = assert.rejects(connector.connect(peer, controller.signal), /enough/)
    await settle()
    assert.equal(env.clock.pending, 0)
    controller.abort(new Error('enough'))
    await failing
  })

  test('connects from the addresses that fit, the peer’s own first', async () => {
    const { connector, env } = setup({
      clientBindToIpv4: ['127.0.0.2', '127.0.0.3'],
      clientBindToIpv6: ['::2'],
    })
    const picked = new Set<string | undefined>()
    for (let attempt = 0; attempt < 40; attempt++) {
      await connector.connect(new HttpPeer('10.0.0.1:80'))
      picked.add(env.network.dialOptions.at(-1)?.localAddress)
    }
    assert.deepEqual([...picked].sort(), ['127.0.0.2', '127.0.0.3'])
    await connector.connect(new HttpPeer('[::1]:80'))
    assert.equal(env.network.dialOptions.at(-1)?.localAddress, '::2')
    await connector.connect(new HttpPeer('10.0.0.1:80', { bindTo: '127.0.0.9' }))
    assert.equal(env.network.dialOptions.at(-1)?.localAddress, '127.0.0.9')
    await connector.connect(new HttpPeer('unix:/run/a.sock', { bindTo: '127.0.0.9' }))
    assert.equal(env.network.dialOptions.at(-1)?.localAddress, undefined)
  })

  test('refuses to connect from what is no address', async () => {
    const { connector, env } = setup({ clientBindToIpv4: ['eth0'] })
    const connecting = connector.connect(new HttpPeer('10.0.0.1:80'))
    await assert.rejects(connecting, { code: 'PGR_BIND_FAILED' })
    assert.equal(env.network.dialled.length, 0)
  })

  test('refuses TLS over a unix socket without a name before it connects', async () => {
    const { connector, env } = setup()
    const connecting = connector.connect(new HttpPeer('unix:/run/a.sock', { tls: true }))
    await assert.rejects(connecting, { code: 'PGR_OPTION_INVALID' })
    assert.equal(env.network.dialled.length, 0)
  })

  test('close closes what is idle now and what is released later', async () => {
    const { connector, env } = setup()
    const peer = new HttpPeer('10.0.0.1:80')
    const [idle, used] = [await connector.connect(peer), await connector.connect(peer)]
    connector.release(peer, idle)
    connector.close()
    connector.release(peer, used)
    assert.equal(env.network.open.size, 0)
  })
})

interface Setup {
  readonly connector: Connector
  readonly env: ScriptedEnvironment
  readonly counters: Counters
}

function setup(options: ConnectorOptions = {}): Setup {
  const env = scriptedEnvironment()
  const counters = new Counters()
  return { connector: new Connector({ env, counters, ...options }), env, counters }
}
