import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counters } from '../observability/index.js'
import { FakeConnection } from '../../test/helpers/fake-connection.js'
import { RecordingLogger } from '../../test/helpers/recording-logger.js'
import { scriptedEnvironment } from '../../test/helpers/scripted-network.js'
import type { ScriptedEnvironment } from '../../test/helpers/scripted-network.js'
import { Acceptor } from './acceptor.js'
import type { AcceptorOptions } from './acceptor.js'
import type { Connection } from './connection.js'
import type { ListenOptions } from './environment.js'

const ADDRESS = { kind: 'ip', host: '127.0.0.1', port: 8080 } as const

describe('Acceptor', () => {
  test('hands out connections and knows which are open', async () => {
    const { acceptor, connect, given, counters } = await setup()
    const [first, second] = [connect(), connect()]
    assert.deepEqual(given, [first, second])
    assert.equal(acceptor.connections.size, 2)
    acceptor.released(first)
    acceptor.released(first)
    assert.deepEqual([...acceptor.connections], [second])
    assert.equal(counters.get('downstreamConnectionsAccepted'), 2)
    assert.equal(counters.get('downstreamConnectionsOpen'), 1)
  })

  test('refuses what is over the limit of the listener, until one goes', async () => {
    const { acceptor, connect, given, counters } = await setup({ maxConnections: 2 })
    const first = connect('10.0.0.1')
    connect('10.0.0.2')
    const refused = connect('10.0.0.3')
    assert.equal(refused.destroyed, true)
    assert.equal(given.length, 2)
    assert.equal(counters.get('downstreamConnectionsLimited'), 1)
    acceptor.released(refused)
    acceptor.released(first)
    assert.equal(connect('10.0.0.3').destroyed, false)
    assert.equal(acceptor.connections.size, 2)
  })

  test('refuses what is over the limit of one client, and forgets clients', async () => {
    const { acceptor, connect } = await setup({ maxConnectionsPerClient: 2 })
    const kept = [connect('10.0.0.1'), connect('10.0.0.1'), connect('10.0.0.2')]
    assert.equal(connect('10.0.0.1').destroyed, true)
    assert.equal(acceptor.clients, 2)
    acceptor.released(kept[0]!)
    kept.push(connect('10.0.0.1'))
    assert.equal(kept.at(-1)?.destroyed, false)
    for (const connection of kept) acceptor.released(connection)
    assert.deepEqual([acceptor.clients, acceptor.connections.size], [0, 0])
  })

  test('clients over a unix socket are only counted together', async () => {
    const { connect } = await setup({ maxConnections: 3, maxConnectionsPerClient: 1 })
    const connections = [connect(''), connect(''), connect(''), connect('')]
    assert.deepEqual(
      connections.map((one) => one.destroyed),
      [false, false, false, true],
    )
  })

  test('has no limit with 0, and 10000 by default', async () => {
    const [none, standard] = [await setup({ maxConnections: 0 }), await setup()]
    for (let index = 0; index < 10_000; index++) {
      none.connect()
      standard.connect()
    }
    assert.equal(none.connect().destroyed, false)
    assert.equal(standard.connect().destroyed, true)
  })

  test('logs a limit at most once per second', async () => {
    const { connect, logger, env } = await setup({ maxConnections: 1 })
    for (let index = 0; index < 10; index++) connect()
    assert.deepEqual(logger.lines, ['warn connection limit reached'])
    env.clock.advance(1_000)
    connect()
    assert.equal(logger.lines.length, 2)
  })

  test('counts a connection off when the one who gets it throws', async () => {
    const env = listening()
    const acceptor = new Acceptor({ address: ADDRESS, env })
    await acceptor.listen(() => {
      throw new Error('not now')
    })
    assert.throws(() => {
      env.connect(new FakeConnection())
    }, /not now/)
    assert.equal(acceptor.connections.size, 0)
  })

  test('passes the options of listening on and tells the real address', async () => {
    const { acceptor, env } = await setup({ backlog: 7, unixMode: 0o600 })
    assert.deepEqual(env.options, { backlog: 7, unixMode: 0o600 })
    assert.deepEqual(acceptor.address, { ...ADDRESS, port: 4711 })
    await acceptor.close()
    assert.equal(env.closes, 1)
  })

  test('refuses limits that are no counts', () => {
    for (const limits of [{ maxConnections: -1 }, { maxConnectionsPerClient: 0.5 }]) {
      const options = { address: ADDRESS, env: scriptedEnvironment(), ...limits }
      assert.throws(() => new Acceptor(options), { code: 'PGR_OPTION_INVALID' })
    }
  })
})

interface ListeningEnvironment extends ScriptedEnvironment {
  /** Lets a connection arrive. */
  connect: (connection: Connection) => void
  options: ListenOptions | null
  closes: number
}

/** An environment in which one listener opens, on port 4711. */
function listening(): ListeningEnvironment {
  const env: ListeningEnvironment = {
    ...scriptedEnvironment(),
    connect: () => {
      throw new Error('nobody listens')
    },
    options: null,
    closes: 0,
  }
  const listen: ListeningEnvironment['network']['listen'] = (...parameters: unknown[]) => {
    const [address, options, onConnection] = parameters as [
      typeof ADDRESS,
      ListenOptions,
      ListeningEnvironment['connect'],
    ]
    env.options = options
    env.connect = onConnection
    const close = (): Promise<void> => {
      env.closes++
      return Promise.resolve()
    }
    return Promise.resolve({ address: { ...address, port: 4711 }, close })
  }
  env.network.listen = listen
  return env
}

interface Setup {
  readonly acceptor: Acceptor
  readonly env: ListeningEnvironment
  readonly counters: Counters
  readonly logger: RecordingLogger
  /** What the owner was given. */
  readonly given: Connection[]
  connect(ip?: string): FakeConnection
}

async function setup(options: Partial<AcceptorOptions> = {}): Promise<Setup> {
  const env = listening()
  const counters = new Counters()
  const logger = new RecordingLogger()
  const acceptor = new Acceptor({ address: ADDRESS, env, counters, logger, ...options })
  const given: Connection[] = []
  await acceptor.listen((connection) => given.push(connection))
  const connect = (ip?: string): FakeConnection => {
    const connection = new FakeConnection(ip)
    env.connect(connection)
    return connection
  }
  return { acceptor, env, counters, logger, given, connect }
}
