import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Sockets, loadLibc } from '../os/internal.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import { ListeningSockets } from './listening-sockets.js'
import type { InheritedSocket, SocketsOfListener } from './listening-sockets.js'

const LOOPBACK = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
const libc = loadLibc()

describe('ListeningSockets', { skip: libc === null && 'no libc here' }, () => {
  const sockets = new Sockets(libc!)

  async function listen(
    t: TestContext,
    listening: ListeningSockets,
    count: number,
    address: SocketAddress = LOOPBACK,
  ): Promise<SocketsOfListener> {
    const own = await listening.listen(address, {}, count)
    t.after(() => {
      for (const { fd } of own) sockets.close(fd)
    })
    return own
  }

  /** Clients of a listener, none of which is accepted. */
  function connect(t: TestContext, address: SocketAddress, count: number): void {
    for (let i = 0; i < count; i++) {
      const fd = sockets.open(address)
      t.after(() => {
        sockets.close(fd)
      })
      assert.equal(sockets.connect(fd, address), 0)
    }
  }

  /** How many clients wait in each queue. */
  function waiting(own: readonly Pick<InheritedSocket, 'fd'>[]): number[] {
    return own.map(({ fd }) => {
      sockets.setNonBlocking(fd)
      for (let count = 0; ; count++) {
        const accepted = sockets.accept(fd)
        if (accepted < 0) return count
        sockets.close(accepted)
      }
    })
  }

  /** The same sockets as another process has them. */
  function passed(own: SocketsOfListener): InheritedSocket[] {
    return own.map((socket) => ({ ...socket, fd: sockets.duplicate(socket.fd) }))
  }

  test('divides the connections of one address between several sockets', async (t) => {
    const own = await listen(t, new ListeningSockets(sockets), 2)
    assert.deepEqual(own[0].bound, own[1]!.bound)
    connect(t, own[0].bound, 40)
    const counts = waiting(own)
    assert.equal(counts[0]! + counts[1]!, 40)
    assert.ok(counts.every((count) => count > 0))
  })

  test('finds out who listens at an address already, however that does', async (t) => {
    for (const count of [1, 2]) {
      const [{ bound }] = await listen(t, new ListeningSockets(sockets), count)
      for (const more of [1, 2]) {
        await assert.rejects(new ListeningSockets(sockets).listen(bound, {}, more), {
          code: 'PGR_LISTEN_FAILED',
          message: `listen ${formatAddress(bound)}: address already in use`,
        })
      }
    }
  })

  for (const [before, wanted, after] of [
    [1, 1, 1],
    [3, 3, 3],
    [3, 1, 3],
    [1, 3, 3],
    [2, 3, 3],
  ] as const) {
    test(`leaves no client behind when ${wanted} of ${before} inherited are wanted`, async (t) => {
      const old = await listen(t, new ListeningSockets(sockets), before)
      const [{ bound }] = old
      connect(t, bound, 20)
      const listening = new ListeningSockets(sockets)
      listening.inherit(passed(old))
      const own = await listen(t, listening, wanted)
      assert.deepEqual(own[0].bound, bound)
      assert.equal(listening.open.length, after)
      assert.deepEqual(listening.takeOver(), [])
      connect(t, bound, 20)
      const total = waiting(own).reduce((sum, count) => sum + count)
      assert.equal(total, 40)
    })
  }

  test('takes for each of several listeners of one name what had its port', async (t) => {
    const before = new ListeningSockets(sockets)
    const old = [await listen(t, before, 2), await listen(t, before, 2)]
    const listening = new ListeningSockets(sockets)
    listening.inherit(old.flatMap(passed))
    for (const { length, 0: first } of old) {
      const own = await listen(t, listening, 1)
      assert.deepEqual([own.length, own[0].bound], [length, first.bound])
    }
  })

  test('adds no socket to one that a supervisor keeps', async (t) => {
    const old = await listen(t, new ListeningSockets(sockets), 1)
    const listening = new ListeningSockets(sockets)
    listening.inherit(passed(old).map((socket) => ({ ...socket, isSupervised: true })))
    assert.equal((await listen(t, listening, 4, old[0].bound)).length, 1)
  })
})
