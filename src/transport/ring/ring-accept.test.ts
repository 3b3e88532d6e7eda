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

  function listening(): { readonly fd: number; readonly port: number } {
    const fd = sockets.open(LOOPBACK)
    assert.equal(sockets.bind(fd, LOOPBACK), 0)
    assert.equal(sockets.listen(fd, 16), 0)
    return { fd, port: sockets.localEnd(fd)[1] }
  }

  function accept(t: TestContext, fd: number) {
    const given: number[] = []
    const owner = {
      onAccepted: (accepted: number): void => {
        given.push(accepted)
      },
      onError: assert.ifError,
    }
    const accepting = new RingAccept(loop!, new RealClock(), fd, owner)
    t.after(async () => {
      await accepting.close()
      for (const accepted of given) sockets.close(accepted)
    })
    return { accepting, given }
  }

  function connect(t: TestContext, port: number): void {
    const fd = sockets.open(LOOPBACK)
    t.after(() => {
      sockets.close(fd)
    })
    assert.equal(sockets.connect(fd, { ...LOOPBACK, port }), 0)
  }

  test('gives away what it was woken for, though it is closed at once', async (t) => {
    const { fd, port } = listening()
    const { accepting, given } = accept(t, fd)
    await turn()
    // Nothing runs in between: the kernel has woken it, and it does not know yet.
    connect(t, port)
    await accepting.close()
    assert.equal(given.length, 1)
  })
})
