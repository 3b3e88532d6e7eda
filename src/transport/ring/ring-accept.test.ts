import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { RealClock } from '../../time/index.js'
import { RingAccept } from './ring-accept.js'
import { RingLoop } from './ring-loop.js'

const LOOPBACK = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
const loop = RingLoop.ofThread()

describe('RingAccept', { skip: loop === null && 'no io_uring here', timeout: 20_000 }, () => {
  const { sockets } = loop!

  /** A socket that listens, as several descriptors of it. */
  function listening(count: number): { readonly fds: number[]; readonly port: number } {
    const fd = sockets.open(LOOPBACK)
    assert.equal(sockets.bind(fd, LOOPBACK), 0)
    assert.equal(sockets.listen(fd, 16), 0)
    const more = Array.from({ length: count - 1 }, () => sockets.duplicate(fd))
    return { fds: [fd, ...more], port: sockets.localEnd(fd)[1] }
  }

  function accept(t: TestContext, fd: number, isShared: boolean) {
    const given: number[] = []
    let wake = (): void => undefined
    const owner = {
      onAccepted: (accepted: number): void => {
        given.push(accepted)
        wake()
      },
      onError: assert.ifError,
    }
    const accepting = new RingAccept(loop!, new RealClock(), { fd, isShared }, owner)
    t.after(async () => {
      await accepting.close()
      for (const accepted of given) sockets.close(accepted)
    })
    return { accepting, given, onGiven: (callback: () => void) => (wake = callback) }
  }

  function connect(t: TestContext, port: number): void {
    const fd = sockets.open(LOOPBACK)
    t.after(() => {
      sockets.close(fd)
    })
    assert.equal(sockets.connect(fd, { ...LOOPBACK, port }), 0)
  }

  test('takes turns on a shared socket, and else gives all to who came first', async (t) => {
    for (const [isShared, counts] of [
      [true, [3, 3]],
      [false, [6, 0]],
    ] as const) {
      const { fds, port } = listening(2)
      const all = fds.map((fd) => accept(t, fd, isShared))
      await turn()
      for (let client = 0; client < 6; client++) {
        const given = new Promise<void>((resolve) => {
          for (const { onGiven } of all) onGiven(resolve)
        })
        connect(t, port)
        await given
        // Whoever has got it waits again.
        await turn()
      }
      assert.deepEqual(
        all.map(({ given }) => given.length),
        counts,
      )
      // Both at once: the ring cancels by the socket, which is the same.
      await Promise.all(all.map(({ accepting }) => accepting.close()))
    }
  })

  test('gives away what it was woken for, though it is closed at once', async (t) => {
    for (const isShared of [true, false]) {
      const { fds, port } = listening(1)
      const { accepting, given } = accept(t, fds[0]!, isShared)
      await turn()
      // Nothing runs in between: the kernel has woken it, and it does not know yet.
      connect(t, port)
      await accepting.close()
      assert.equal(given.length, 1)
    }
  })
})
