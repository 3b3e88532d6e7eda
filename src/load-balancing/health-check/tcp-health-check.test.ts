import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { testWorld } from '../../../test/helpers/test-world.js'
import { ProxyError } from '../../error/index.js'
import type { TestWorld } from '../../testing/index.js'
import { Backend } from '../backend.js'
import { TcpHealthCheck } from './tcp-health-check.js'

const ADDRESS = '10.0.0.1:443'
const BACKEND = new Backend(ADDRESS)
const NEVER = new AbortController().signal

/** The error code of one check; empty when it succeeded. Then nothing may be open. */
async function outcome(
  world: TestWorld,
  check: TcpHealthCheck,
  backend: Backend = BACKEND,
): Promise<string> {
  const checked = check.check(backend, NEVER, world.env).then(
    () => '',
    (error: unknown) => {
      assert.ok(error instanceof ProxyError)
      return error.code
    },
  )
  const code = await world.run(checked)
  await world.idle()
  assert.deepEqual(world.leftovers(), [])
  return code
}

describe('TcpHealthCheck', () => {
  test('succeeds when the connection is accepted, and closes it', async (t) => {
    const world = testWorld(t)
    const upstream = world.upstream(ADDRESS)
    assert.equal(await outcome(world, new TcpHealthCheck()), '')
    assert.deepEqual([upstream.connections.length, upstream.open], [1, 0])
    assert.equal(upstream.received().length, 0)
  })

  test('fails when the connection is refused', async (t) => {
    assert.equal(await outcome(testWorld(t), new TcpHealthCheck()), 'PGR_CONNECT_REFUSED')
  })

  test('fails when nothing answers in time, and gives the connection up', async (t) => {
    const world = testWorld(t)
    world.upstream(ADDRESS).blackhole()
    const check = new TcpHealthCheck({ connectTimeoutMs: 500 })
    assert.equal(await outcome(world, check), 'PGR_CONNECT_TIMEOUT')
    assert.equal(world.clock.nowMs(), 500)
  })

  test('does a handshake that verifies the name, when it is made for TLS', async (t) => {
    const world = testWorld(t)
    const upstream = world.upstream(ADDRESS, { tls: 'one.one.one.one' })
    const startTls = t.mock.method(world.env.network, 'startTls').mock
    assert.equal(await outcome(world, TcpHealthCheck.tls('one.one.one.one')), '')
    const { connection } = upstream.connections[0]!
    assert.equal(world.network.acceptedTls(connection)?.sni, 'one.one.one.one')
    assert.equal(startTls.calls[0]?.arguments[1].sessionKey, '')
    const other = await outcome(world, TcpHealthCheck.tls('two.two.two.two'))
    assert.equal(other, 'PGR_CERTIFICATE_INVALID')
  })

  test('verifies no more than it is told to', async (t) => {
    const world = testWorld(t)
    world.upstream(ADDRESS)
    world.network.serveTls(ADDRESS, { names: ['one.one.one.one'], trusted: false })
    const code = (tls: { sni: string; verify?: boolean }): Promise<string> =>
      outcome(world, new TcpHealthCheck({ tls }))
    assert.equal(await code({ sni: 'one.one.one.one' }), 'PGR_CERTIFICATE_INVALID')
    assert.equal(await code({ sni: 'other.test', verify: false }), '')
  })

  test('fails when the handshake does, or takes too long', async (t) => {
    const world = testWorld(t)
    const upstream = world.upstream(ADDRESS)
    const check = TcpHealthCheck.tls('one.one.one.one')
    assert.equal(await outcome(world, check), 'PGR_TLS_HANDSHAKE_FAILED')
    world.network.serveTls(ADDRESS, { names: ['one.one.one.one'] })
    world.network.setLink(ADDRESS, { latencyMs: 100 })
    // Connected after 200 ms, and then nothing more comes.
    world.clock.schedule(201, () => {
      upstream.partition()
    })
    assert.equal(await outcome(world, check), 'PGR_TLS_HANDSHAKE_TIMEOUT')
    assert.equal(world.clock.nowMs(), 1_000)
  })

  test('connects as its peer options say', async (t) => {
    const world = testWorld(t)
    const upstream = world.upstream(ADDRESS, { tls: 'b.test' })
    const startTls = t.mock.method(world.env.network, 'startTls').mock
    const peer = { bindTo: '10.0.0.9', verifyHostname: false }
    const check = new TcpHealthCheck({ peer, tls: { sni: 'a.test', ca: 'PEM', verify: true } })
    assert.equal(await outcome(world, check), '')
    assert.equal(upstream.connections[0]?.connection.digest.peerIp, '10.0.0.9')
    const [, tls] = startTls.calls[0]!.arguments
    assert.deepEqual([tls.ca, tls.verifyName], ['PEM', ''])
  })

  test('dials nothing when TLS to a unix socket has no name to verify', async (t) => {
    const world = testWorld(t)
    const dial = t.mock.method(world.env.network, 'dial').mock
    const backend = new Backend('unix:/run/a.sock')
    const check = new TcpHealthCheck({ tls: {} })
    assert.equal(await outcome(world, check, backend), 'PGR_OPTION_INVALID')
    assert.equal(dial.callCount(), 0)
  })

  test('ends with the reason of the signal', async (t) => {
    const world = testWorld(t)
    world.upstream(ADDRESS).blackhole()
    const controller = new AbortController()
    const work = new TcpHealthCheck().check(BACKEND, controller.signal, world.env)
    const failing = assert.rejects(work, /stop/)
    await world.idle()
    controller.abort(new Error('stop'))
    await failing
    await world.idle()
    assert.deepEqual(world.leftovers(), [])
  })

  test('uses an environment of its own when it was given one', async (t) => {
    const [own, balancers] = [testWorld(t), testWorld(t)]
    const upstream = own.upstream(ADDRESS)
    const check = new TcpHealthCheck({ env: own.env })
    await own.run(check.check(BACKEND, NEVER, balancers.env))
    assert.equal(upstream.connections.length, 1)
    assert.deepEqual(balancers.trace, [])
  })

  test('refuses numbers out of range', () => {
    const options = [
      { connectTimeoutMs: 0 },
      { consecutiveSuccess: 0 },
      { consecutiveFailure: 1.5 },
    ]
    for (const option of options) {
      assert.throws(
        () => new TcpHealthCheck(option),
        (error) => error instanceof ProxyError && error.code === 'PGR_OPTION_INVALID',
      )
    }
  })
})
