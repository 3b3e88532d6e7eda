import assert from 'node:assert/strict'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Sockets, loadLibc } from '../../src/os/internal.js'
import {
  Acceptor,
  NodeNetwork,
  REAL_ENVIRONMENT,
  formatAddress,
} from '../../src/transport/index.js'
import type { Connection, Listener, SocketAddress } from '../../src/transport/index.js'
import { NodeDescriptors } from '../../src/transport/node/node-descriptors.js'
import { LOOPBACK, connectionPair } from '../helpers/connection-pair.js'
import { Recorder } from '../helpers/recorder.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

describe('listening', { timeout: 20_000 }, () => {
  for (const io of ['ring', 'handles', 'sockets'] as const) {
    const how = `with ${io}`

    test(`on IPv6 tells addresses in brackets, ${how}`, async (t) => {
      const address = { kind: 'ip', host: '::1', port: 0 } as const
      const { dialled, accepted } = await connectionPair(t, { io }, address)
      assert.match(accepted.digest.localAddress, /^\[::1\]:\d+$/)
      assert.equal(accepted.digest.peerAddress, dialled.digest.localAddress)
      assert.equal(accepted.digest.peerIp, '::1')
    })

    test(`on [::] takes IPv4 clients too and shows them as such, ${how}`, async (t) => {
      const network = new NodeNetwork({ io })
      const { listener, next } = await listen(t, network, { kind: 'ip', host: '::', port: 0 })
      const { port } = ipOf(listener)
      const dialled = await network.dial({ ...LOOPBACK, port }, {})
      const accepted = await next()
      t.after(() => {
        dialled.destroy()
      })
      assert.equal(accepted.digest.peerIp, '127.0.0.1')
      assert.equal(accepted.digest.localAddress, `127.0.0.1:${port}`)
    })

    test(`closing stops accepting and leaves open connections alone, ${how}`, async (t) => {
      const network = new NodeNetwork({ io })
      const { listener, next } = await listen(t, network, LOOPBACK)
      const dialled = await network.dial(listener.address, {})
      const [client, server] = [new Recorder(dialled), new Recorder(await next())]
      await listener.close()
      await listener.close()
      await assert.rejects(network.dial(listener.address, {}), { code: 'PGR_CONNECT_REFUSED' })
      dialled.write('still here')
      await server.until(() => server.text === 'still here')
      server.connection.destroy()
      await client.until(() => client.ended)
      dialled.destroy()
      await client.closed()
    })

    test(`what the owner of a new connection throws is reported, ${how}`, async (t) => {
      const uncaught: unknown[] = []
      const network = new NodeNetwork({ io, onUncaught: (error) => uncaught.push(error) })
      const listener = await network.listen(LOOPBACK, {}, () => {
        throw new Error('not now')
      })
      t.after(() => listener.close())
      const client = new Recorder(await network.dial(listener.address, {}))
      await client.until(() => client.ended || client.closes > 0)
      client.connection.destroy()
      assert.deepEqual(uncaught.map(String), ['Error: not now'])
    })

    test(`an Acceptor enforces its limits on real connections, ${how}`, async (t) => {
      const network = new NodeNetwork({ io })
      const env = { ...REAL_ENVIRONMENT, network }
      const acceptor = new Acceptor({ address: LOOPBACK, maxConnectionsPerClient: 1, env })
      const servers: Recorder[] = []
      await acceptor.listen((connection) => servers.push(new Recorder(connection)))
      t.after(() => acceptor.close())
      const first = new Recorder(await network.dial(acceptor.address, {}))
      const second = new Recorder(await network.dial(acceptor.address, {}))
      await second.until(() => second.ended || second.closes > 0)
      second.connection.destroy()
      assert.equal(servers.length, 1)
      assert.equal(acceptor.connections.size, 1)
      first.connection.destroy()
      await first.closed()
      const [server] = servers
      await server?.until(() => server.ended)
      server?.connection.destroy()
      await server?.closed()
    })

    test(`refuses an address that is taken or not ours, ${how}`, async (t) => {
      const network = new NodeNetwork({ io })
      const { listener } = await listen(t, network, LOOPBACK)
      const taken = formatAddress(listener.address)
      const failures: [SocketAddress, string][] = [
        [listener.address, `listen ${taken}: address already in use`],
        [
          { kind: 'ip', host: '203.0.113.1', port: 0 },
          'listen 203.0.113.1:0: address not available',
        ],
      ]
      for (const [address, message] of failures) {
        const listening = network.listen(address, {}, () => {})
        await assert.rejects(listening, { code: 'PGR_LISTEN_FAILED', message })
      }
    })

    test(`dialling fails with a code for each reason, ${how}`, async (t) => {
      const network = new NodeNetwork({ io })
      const { listener } = await listen(t, network, LOOPBACK)
      const { address } = listener
      for (const localAddress of ['203.0.113.1', 'eth0', '::1']) {
        await assert.rejects(network.dial(address, { localAddress }), { code: 'PGR_BIND_FAILED' })
      }
      const bound = await network.dial(address, { localAddress: '127.0.0.2' })
      assert.match(bound.digest.localAddress, /^127\.0\.0\.2:/)
      bound.destroy()
      await listener.close()
      const reason = `connect ${formatAddress(address)}: connection refused`
      await assert.rejects(network.dial(address, {}), {
        code: 'PGR_CONNECT_REFUSED',
        message: reason,
      })
      await assert.rejects(network.dial({ kind: 'unix', path: '/nowhere/a.sock' }, {}), {
        code: 'PGR_CONNECT_REFUSED',
      })
      const gone = AbortSignal.abort(new Error('too late'))
      await assert.rejects(network.dial(address, { signal: gone }), /too late/)
    })
  }

  for (const by of ['the ring', 'sockets of Node']) {
    test(`what the owner of an adopted connection throws is reported, by ${by}`, async (t) => {
      const uncaught: unknown[] = []
      const onUncaught = (error: unknown): void => void uncaught.push(error)
      const network = new NodeNetwork({ onUncaught })
      const { clock } = REAL_ENVIRONMENT
      const descriptors =
        by === 'the ring'
          ? network.descriptors!
          : new NodeDescriptors(new Sockets(loadLibc()!), clock, onUncaught)
      const { listeningSockets } = network
      const [socket] = await listeningSockets!.listen(LOOPBACK, {})
      const accepting = await descriptors.accept(socket, {}, (fd) => {
        descriptors.adopt(fd, socket.bound, () => {
          throw new Error('not now')
        })
      })
      t.after(async () => {
        listeningSockets!.release(socket)
        await accepting.close()
      })
      const client = new Recorder(await network.dial(socket.bound, {}))
      await client.until(() => client.ended || client.closes > 0)
      client.connection.destroy()
      assert.deepEqual(uncaught.map(String), ['Error: not now'])
    })
  }

  test('serves a unix socket with its mode, and removes the file on close', async (t) => {
    const path = join(folder(t), 'a.sock')
    const network = new NodeNetwork()
    const { listener, next } = await listen(t, network, { kind: 'unix', path }, 0o600)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const client = new Recorder(await network.dial({ kind: 'unix', path }, {}))
    const server = new Recorder(await next())
    client.connection.write('hello')
    await server.until(() => server.text === 'hello')
    assert.equal(server.connection.digest.localAddress, `unix:${path}`)
    assert.equal(client.connection.digest.peerAddress, `unix:${path}`)
    assert.equal(server.connection.digest.peerIp, '')
    server.connection.reset()
    await client.until(() => client.ended || client.closes > 0)
    client.connection.destroy()
    await Promise.all([client.closed(), server.closed()])
    await listener.close()
    assert.equal(existsSync(path), false)
  })

  test('lets everybody connect to a unix socket by default', async (t) => {
    const path = join(folder(t), 'a.sock')
    await listen(t, new NodeNetwork(), { kind: 'unix', path })
    assert.equal(statSync(path).mode & 0o777, 0o666)
  })

  test('replaces the file of a unix socket whose owner died', async (t) => {
    const path = join(folder(t), 'a.sock')
    const program = `require('net').createServer().listen(process.argv[2], () => process.send('up'))`
    const file = join(folder(t), 'owner.cjs')
    writeFileSync(file, program)
    const owner = fork(file, [path], { stdio: 'ignore' })
    await once(owner, 'message')
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    assert.equal(existsSync(path), true)
    const network = new NodeNetwork()
    await listen(t, network, { kind: 'unix', path })
    const connection = await network.dial({ kind: 'unix', path }, {})
    connection.destroy()
  })

  test('does not touch a unix socket that is served, nor any other file', async (t) => {
    const [served, file] = [join(folder(t), 'served.sock'), join(folder(t), 'file')]
    const server = createServer().listen(served)
    await once(server, 'listening')
    t.after(() => server.close())
    writeFileSync(file, 'precious')
    const network = new NodeNetwork()
    const failures = [
      [served, 'address already in use'],
      [file, 'the file is not a socket'],
      [join(folder(t), 'missing', 'a.sock'), null],
    ] as const
    for (const [path, reason] of failures) {
      const listening = network.listen({ kind: 'unix', path }, {}, () => {})
      await assert.rejects(listening, {
        code: 'PGR_LISTEN_FAILED',
        ...(reason !== null && { message: `listen unix:${path}: ${reason}` }),
      })
    }
    assert.equal(existsSync(served), true)
    assert.equal(statSync(file).size, 8)
  })

  test('resolves names to all their addresses, and leaves addresses as they are', async () => {
    const network = new NodeNetwork()
    const addresses = await network.resolve({ kind: 'name', host: 'localhost', port: 80 })
    assert.ok(addresses.length > 0)
    for (const address of addresses)
      assert.match(formatAddress(address), /^(127\.0\.0\.1|\[::1\]):80$/)
    const unix = { kind: 'unix', path: '/a' } as const
    assert.deepEqual(await network.resolve(unix), [unix])
    const unknown = network.resolve({ kind: 'name', host: 'no-such-name.invalid', port: 80 })
    await assert.rejects(unknown, { code: 'PGR_RESOLVE_FAILED' })
  })
})

interface Listening {
  readonly listener: Listener
  /** The next connection that is accepted. */
  next(): Promise<Connection>
}

/** Listens until the test ends; accepted connections are destroyed then. */
async function listen(
  t: TestContext,
  network: NodeNetwork,
  address: SocketAddress,
  unixMode?: number,
): Promise<Listening> {
  const arrived: Connection[] = []
  let wake = (): void => {}
  const options = unixMode === undefined ? {} : { unixMode }
  const listener = await network.listen(address, options, (connection) => {
    t.after(() => {
      connection.destroy()
    })
    arrived.push(connection)
    wake()
  })
  t.after(() => listener.close())
  const next = async (): Promise<Connection> => {
    for (;;) {
      const connection = arrived.shift()
      if (connection) return connection
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return { listener, next }
}

function ipOf(listener: Listener): Extract<SocketAddress, { kind: 'ip' }> {
  assert.ok(listener.address.kind === 'ip')
  return listener.address
}

/** A fresh folder, removed after the test. */
function folder(t: TestContext): string {
  const path = temporaryFolder(t)
  return path
}
