import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { RecordingConnection } from '../../test/helpers/recording-connection.js'
import { logLines, testWorld } from '../../test/helpers/test-world.js'
import type { TestWorld } from '../testing/index.js'
import { TestPeer } from '../testing/test-peer.js'
import { Acceptor } from './acceptor.js'
import type { AcceptorOptions } from './acceptor.js'
import type { SocketAddress } from './address.js'
import type { Connection } from './connection.js'

const ADDRESS: SocketAddress = { kind: 'ip', host: '10.0.0.254', port: 80 }

describe('Acceptor', () => {
  test('hands out connections and knows which are open', async (t) => {
    const { acceptor, isTaken, given, world } = await setup(t)
    assert.deepEqual([await isTaken(), await isTaken()], [true, true])
    const [first, second] = given
    assert.deepEqual([...acceptor.connections], [first, second])
    acceptor.released(first!)
    acceptor.released(first!)
    assert.deepEqual([...acceptor.connections], [second])
    assert.equal(world.counters.get('downstreamConnectionsAccepted'), 2)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 1)
  })

  test('refuses what is over the limit of the listener, until one goes', async (t) => {
    const { acceptor, isTaken, given, world } = await setup(t, { maxConnections: 2 })
    assert.deepEqual(
      [await isTaken('10.1.0.1'), await isTaken('10.1.0.2'), await isTaken('10.1.0.3')],
      [true, true, false],
    )
    assert.equal(given.length, 2)
    assert.equal(world.counters.get('downstreamConnectionsLimited'), 1)
    acceptor.released(given[0]!)
    assert.equal(await isTaken('10.1.0.3'), true)
    assert.equal(acceptor.connections.size, 2)
  })

  test('refuses what is over the limit of one client, and forgets clients', async (t) => {
    const { acceptor, isTaken, given } = await setup(t, { maxConnectionsPerClient: 2 })
    const taken = []
    for (const ip of ['10.1.0.1', '10.1.0.1', '10.1.0.2', '10.1.0.1']) taken.push(await isTaken(ip))
    assert.deepEqual(taken, [true, true, true, false])
    assert.equal(acceptor.clients, 2)
    acceptor.released(given[0]!)
    assert.equal(await isTaken('10.1.0.1'), true)
    for (const connection of given) acceptor.released(connection)
    assert.deepEqual([acceptor.clients, acceptor.connections.size], [0, 0])
  })

  test('clients over a unix socket are only counted together', async (t) => {
    const { isTaken } = await setup(t, {
      address: { kind: 'unix', path: '/run/proxy.sock' },
      maxConnections: 3,
      maxConnectionsPerClient: 1,
    })
    const taken = [await isTaken(), await isTaken(), await isTaken(), await isTaken()]
    assert.deepEqual(taken, [true, true, true, false])
  })

  test('has no limit with 0, and 10000 by default', async (t) => {
    const [none, standard] = [await setup(t, { maxConnections: 0 }), await setup(t)]
    for (let index = 0; index < 10_000; index++) {
      none.arrive(new RecordingConnection())
      standard.arrive(new RecordingConnection())
    }
    const [welcome, refused] = [new RecordingConnection(), new RecordingConnection()]
    none.arrive(welcome)
    standard.arrive(refused)
    assert.deepEqual([welcome.destroyed, refused.destroyed], [false, true])
  })

  test('logs a limit at most once per second', async (t) => {
    const { isTaken, world } = await setup(t, { maxConnections: 1 })
    for (let index = 0; index < 10; index++) await isTaken()
    assert.deepEqual(logLines(world.log), ['warn connection limit reached'])
    await world.advance(1_000)
    await isTaken()
    assert.equal(world.log.length, 2)
  })

  test('counts a connection off when the one who gets it throws', async (t) => {
    const onConnection = (): never => {
      throw new Error('not now')
    }
    const { acceptor, arrive, world } = await setup(t, {}, onConnection)
    assert.throws(() => {
      arrive(new RecordingConnection())
    }, /not now/)
    assert.equal(acceptor.connections.size, 0)
    assert.equal(world.counters.get('downstreamConnectionsOpen'), 0)
  })

  test('passes the options of listening on and tells the real address', async (t) => {
    const world = testWorld(t)
    const listen = t.mock.method(world.env.network, 'listen').mock
    const address = { ...ADDRESS, port: 0 }
    const acceptor = new Acceptor({ address, env: world.env, backlog: 7, unixMode: 0o600 })
    await acceptor.listen(() => {})
    const { backlog, unixMode } = listen.calls[0]?.arguments[1] ?? {}
    assert.deepEqual({ backlog, unixMode }, { backlog: 7, unixMode: 0o600 })
    assert.deepEqual(acceptor.address, { ...ADDRESS, port: 50_000 })
    await acceptor.close()
    assert.deepEqual(world.network.listening, [])
  })

  test('says on which listener accepting failed, and why', async (t) => {
    const world = testWorld(t)
    const listen = t.mock.method(world.env.network, 'listen').mock
    const { env, logger } = world
    const acceptor = new Acceptor({ address: ADDRESS, env, logger })
    await acceptor.listen(() => {})
    listen.calls[0]?.arguments[1].onAcceptError?.(new Error('too many open files'))
    const [line] = world.log
    assert.equal(line?.level, 'error')
    assert.deepEqual(line.fields, { listener: '10.0.0.254:80', reason: 'too many open files' })
    await acceptor.close()
  })

  test('hands out what came behind a PROXY header, and waits for headers when it is told to', async (t) => {
    const { acceptor, given, prefixes, world } = await setup(t, { proxyProtocol: true })
    const dial = async (): Promise<TestPeer> => {
      const dialled = await world.run(world.network.dial(acceptor.address, {}))
      return new TestPeer(world, dialled)
    }
    const [whole, late, gone] = [await dial(), await dial(), await dial()]
    whole.send('PROXY UNKNOWN\r\nGET')
    await world.idle()
    assert.deepEqual([given.length, String(prefixes[0])], [1, 'GET'])
    let isClosed = false
    const closing = acceptor.close(true).then(() => (isClosed = true))
    late.send('PROXY UNKNOWN\r\n')
    await world.idle()
    assert.deepEqual([given.length, prefixes[1], isClosed], [2, null, false])
    gone.destroy()
    await world.idle()
    assert.equal(isClosed, true)
    await closing
    whole.destroy()
    late.destroy()
  })

  test('refuses limits that are no counts', (t) => {
    const { env } = testWorld(t)
    for (const limits of [{ maxConnections: -1 }, { maxConnectionsPerClient: 0.5 }]) {
      const options = { address: ADDRESS, env, ...limits }
      assert.throws(() => new Acceptor(options), { code: 'PGR_OPTION_INVALID' })
    }
  })
})

interface Setup {
  readonly world: TestWorld
  readonly acceptor: Acceptor
  /** What the owner was given. */
  readonly given: Connection[]
  /** The bytes that came with each. */
  readonly prefixes: (Buffer | null)[]
  /** Has a client connect, and says whether it stays connected. */
  readonly isTaken: (ip?: string) => Promise<boolean>
  /** Has a connection arrive that leads nowhere, within the call. */
  readonly arrive: (connection: Connection) => void
}

async function setup(
  t: TestContext,
  options: Partial<AcceptorOptions> = {},
  onConnection?: (connection: Connection) => void,
): Promise<Setup> {
  const given: Connection[] = []
  const prefixes: (Buffer | null)[] = []
  const world = testWorld(t, {}, () => {
    void acceptor.close()
    for (const connection of given) connection.destroy()
  })
  const { env, counters, logger } = world
  const listen = t.mock.method(env.network, 'listen').mock
  const acceptor = new Acceptor({ address: ADDRESS, env, counters, logger, ...options })
  const give = (connection: Connection, prefix: Buffer | null): void => {
    given.push(connection)
    prefixes.push(prefix)
  }
  await acceptor.listen(onConnection ?? give)
  const isTaken = async (ip?: string): Promise<boolean> => {
    const from = ip === undefined ? {} : { localAddress: ip }
    const dialled = await world.run(world.network.dial(acceptor.address, from))
    const client = new TestPeer(world, dialled)
    await world.idle()
    return !client.ended
  }
  const arrive = listen.calls[0]!.arguments[2]
  return { world, acceptor, given, prefixes, isTaken, arrive }
}
