/** What the kernel says of sockets whose options were set, on every way that bytes may take. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Sockets, loadLibc } from '../../src/os/internal.js'
import { NodeNetwork } from '../../src/transport/index.js'
import type { DialOptions, SocketAddress } from '../../src/transport/index.js'
import { prepareSocket } from '../../src/transport/prepare-socket.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const sockets = new Sockets(loadLibc()!)
const KEEPALIVE = { idleMs: 30_000, intervalMs: 5_000, count: 3, userTimeoutMs: 12_345 }
const COMMON = {
  dscp: 46,
  receiveBufferBytes: 30_000,
  sendBufferBytes: 40_000,
  tcpKeepalive: KEEPALIVE,
}
/** The kernel doubles buffers for its own needs. */
const COMMON_SET = {
  receiveBuffer: 60_000,
  sendBuffer: 80_000,
  ipTos: 46 << 2,
  keepAlive: 1,
  keepIdle: 30,
  keepInterval: 5,
  keepCount: 3,
  userTimeout: 12_345,
}

function optionsOf(fd: number): Record<keyof typeof COMMON_SET, number> {
  const entries = (Object.keys(COMMON_SET) as (keyof typeof COMMON_SET)[]).map((name) => [
    name,
    sockets.option(fd, name),
  ])
  return Object.fromEntries(entries) as Record<keyof typeof COMMON_SET, number>
}

async function server(
  t: TestContext,
  host = '127.0.0.1',
): Promise<{ address: SocketAddress; ports: number[] }> {
  const ports: number[] = []
  const listening = createServer((socket) => {
    ports.push(socket.remotePort ?? 0)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  listening.listen(0, host)
  t.after(() => listening.close())
  await once(listening, 'listening')
  return { address: { kind: 'ip', host, port: (listening.address() as AddressInfo).port }, ports }
}

describe('a socket to a peer', () => {
  const ONE: SocketAddress = { kind: 'ip', host: '127.0.0.1', port: 9 }

  function prepared(t: TestContext, address: SocketAddress, options: DialOptions): number {
    const fd = prepareSocket(sockets, address, options)
    t.after(() => {
      sockets.close(fd)
    })
    return fd
  }

  test('has the options that were asked for', (t) => {
    const fd = prepared(t, ONE, { socket: { ...COMMON, tcpFastOpen: true } })
    assert.deepEqual(optionsOf(fd), COMMON_SET)
    assert.equal(sockets.option(fd, 'tcpFastOpenConnect'), 1)
  })

  test('has the class of traffic of IPv6, too', (t) => {
    const fd = prepared(t, { ...ONE, host: '::1' }, { socket: { dscp: 10 } })
    assert.equal(sockets.option(fd, 'ipv6TrafficClass'), 40)
  })

  test('on a unix socket has only the buffers', (t) => {
    const fd = prepared(
      t,
      { kind: 'unix', path: '/x' },
      { socket: { ...COMMON, tcpFastOpen: true } },
    )
    assert.equal(sockets.option(fd, 'sendBuffer'), 80_000)
    assert.equal(sockets.option(fd, 'keepAlive'), 0)
  })

  test('leaves nothing open when a value is out of range', () => {
    const before = nextDescriptor()
    for (const socket of [
      { dscp: 64 },
      { receiveBufferBytes: 0 },
      { tcpKeepalive: { idleMs: 1_500 } },
      { tcpKeepalive: { count: 128 } },
    ]) {
      assert.throws(() => prepareSocket(sockets, ONE, { socket }), { code: 'PGR_OPTION_INVALID' })
    }
    assert.equal(nextDescriptor(), before)
  })
})

describe('a listener', () => {
  test('has the options that were asked for, and so has what it accepts', async (t) => {
    const network = new NodeNetwork()
    const { listeningSockets, descriptors } = network
    const address: SocketAddress = { kind: 'ip', host: '::1', port: 0 }
    const socket = { ...COMMON, tcpFastOpen: 16, reusePort: true, ipv6Only: true }
    const [listening] = await listeningSockets!.listen(address, { socket })
    assert.deepEqual(optionsOf(listening.fd), COMMON_SET)
    const own = (['tcpFastOpen', 'reusePort', 'ipv6Only'] as const).map((name) =>
      sockets.option(listening.fd, name),
    )
    assert.deepEqual(own, [16, 1, 1])
    const accepted = new Promise<number>((resolve) => {
      void descriptors!.accept(listening, {}, resolve).then((accepting) => {
        t.after(() => accepting.close())
      })
    })
    const client = connect((listening.bound as { readonly port: number }).port, '::1')
    const fd = await accepted
    assert.deepEqual(optionsOf(fd), COMMON_SET)
    assert.equal(sockets.option(fd, 'ipv6TrafficClass'), 46 << 2)
    sockets.close(fd)
    client.destroy()
  })

  test('shares its port with another one only when both want to', async (t) => {
    const network = new NodeNetwork()
    const socket = { reusePort: true }
    const first = await network.listen(
      { kind: 'ip', host: '127.0.0.1', port: 0 },
      { socket },
      () => undefined,
    )
    t.after(() => first.close())
    const second = await network.listen(first.address, { socket }, () => undefined)
    t.after(() => second.close())
    await assert.rejects(
      network.listen(first.address, {}, () => undefined),
      {
        code: 'PGR_LISTEN_FAILED',
      },
    )
  })

  test('is not opened with a value that is out of range, or where options cannot be set', async () => {
    const address: SocketAddress = { kind: 'ip', host: '127.0.0.1', port: 0 }
    const bad = new NodeNetwork().listen(address, { socket: { dscp: -1 } }, () => undefined)
    await assert.rejects(bad, { code: 'PGR_OPTION_INVALID' })
    const plain = new NodeNetwork({ io: 'sockets' })
    const refused = plain.listen(address, { socket: { dscp: 1 } }, () => undefined)
    await assert.rejects(refused, { code: 'PGR_NOT_AVAILABLE' })
  })
})

for (const io of ['ring', 'handles', 'sockets'] as const) {
  describe(`a connection over ${io}`, () => {
    for (const forTls of [false, true]) {
      test(`comes from the ports that were asked for${forTls ? ', for TLS' : ''}`, async (t) => {
        const { address, ports } = await server(t)
        const network = new NodeNetwork({ io })
        const options = { localPorts: [45_000, 45_063], localAddress: '127.0.0.3' } as const
        const connection = await network.dial(address, { ...options, forTls, socket: { dscp: 8 } })
        const closed = new Promise<void>((resolve) => {
          connection.handler = {
            onData: (buffer, length) => {
              assert.equal(buffer.toString('latin1', 0, length), 'hello')
              connection.destroy()
            },
            onEnd: () => undefined,
            onDrain: () => undefined,
            onClose: () => {
              resolve()
            },
          }
        })
        assert.match(connection.digest.localAddress, /^127\.0\.0\.3:450[0-6]\d$/)
        connection.resume()
        connection.write('hello')
        await closed
        assert.equal(ports.length, 1)
        assert.ok(ports[0]! >= 45_000 && ports[0]! <= 45_063)
      })
    }

    test('is refused as any other when nobody listens', async () => {
      const gone: SocketAddress = { kind: 'ip', host: '127.0.0.1', port: 1 }
      const network = new NodeNetwork({ io })
      await assert.rejects(network.dial(gone, { socket: { dscp: 8 } }), {
        code: 'PGR_CONNECT_REFUSED',
      })
    })

    test('to a unix socket takes buffers', async (t) => {
      const folder = temporaryFolder(t)
      const path = join(folder, 'a.sock')
      const listening = createServer((socket) => socket.end())
      listening.listen(path)
      t.after(() => listening.close())
      await once(listening, 'listening')
      const network = new NodeNetwork({ io })
      const connection = await network.dial({ kind: 'unix', path }, { socket: COMMON })
      connection.destroy()
    })
  })
}

/** The lowest one that is free, which is not when something was left open. */
function nextDescriptor(): number {
  const fd = sockets.open({ kind: 'ip', host: '127.0.0.1', port: 0 })
  sockets.close(fd)
  return fd
}
