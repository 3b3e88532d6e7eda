import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Sockets, loadLibc, receiveDescriptors, sendDescriptors } from '../../os/internal.js'
import { SILENT_LOGGER } from '../../observability/index.js'
import { RealClock } from '../../time/index.js'
import { NodeNetwork, REAL_ENVIRONMENT, TicketKeys } from '../../transport/index.js'
import type { InheritedSocket, ListeningSockets } from '../../transport/index.js'
import { receiveListeners } from './receive-listeners.js'
import type { ReceiveListenersOptions, ReceivedListeners } from './receive-listeners.js'
import { sendListeners } from './send-listeners.js'
import type { PollClock } from './poll.js'
import { Upgrade } from './upgrade.js'
import { temporaryFolder } from '../../../test/helpers/temporary-folder.js'

const libc = loadLibc()
const FAILED = { code: 'PGR_HANDOVER_FAILED' }
const OWN_USER = process.getuid?.() ?? 0

/** Real time, a hundred times as fast, for waits that take seconds. */
const FAST: PollClock = {
  nowMs: () => performance.now() * 100,
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs / 100)
    return {
      cancel: () => {
        clearTimeout(timer)
      },
    }
  },
}

describe('the handover', { skip: libc === null && 'no libc here', timeout: 20_000 }, () => {
  const sockets = new Sockets(libc!)
  const ticketKeys = new TicketKeys(new RealClock())
  const allowedUsers = new Set([OWN_USER])
  const parts = { libc: libc!, sockets, clock: FAST, allowedUsers, ticketKeys }

  test('passes any number of listeners between two of ours, and the acknowledgement', async (t) => {
    const { path, receive, refused } = setup(t)
    const listening = listeningSockets(t, 450)
    const receiving = receive()
    const sending = sendListeners({ ...parts, path, maxRetries: 5, listening })
    const received = await receiving
    closeAll(t, received.sockets)
    assert.deepEqual(
      received.sockets.map(({ name }) => name),
      listening.open.map(({ name }) => name),
    )
    assert.deepEqual(
      received.sockets.map(({ isSupervised }) => isSupervised),
      listening.open.map(({ isSupervised }) => isSupervised),
    )
    assert.deepEqual(
      received.sockets.map(({ fd }) => sockets.localEnd(fd)),
      listening.open.map(({ fd }) => sockets.localEnd(fd)),
    )
    assert.equal(received.ticketKeys, ticketKeys.state)
    let isOver = false
    void sending.then(() => (isOver = true))
    await new Promise(setImmediate)
    assert.equal(isOver, false)
    await received.acknowledge()
    await sending
    assert.equal(existsSync(path), false)
    assert.deepEqual(refused, [])
  })

  test('fails for the old process when the new one gives up', async (t) => {
    const { path, receive } = setup(t)
    const receiving = receive()
    const listening = listeningSockets(t, 1)
    const sending = sendListeners({ ...parts, path, maxRetries: 5, listening })
    const received = await receiving
    closeAll(t, received.sockets)
    received.abandon()
    await assert.rejects(sending, { ...FAILED, message: /ended before it was ready/ })
    assert.equal(listening.open.length, 1)
  })

  test("reads Pingora's message", async (t) => {
    const { path, receive } = setup(t)
    const [socket] = listeningSockets(t, 1).open
    const receiving = receive()
    await untilBound(path)
    const fd = connected(t, path)
    sendDescriptors(libc!, fd, Buffer.from('0.0.0.0:80 /run/a.sock'), [socket!.fd, socket!.fd])
    const received = await receiving
    closeAll(t, received.sockets)
    assert.deepEqual(
      received.sockets.map(({ name }) => name),
      ['0.0.0.0:80', 'unix:/run/a.sock'],
    )
    await received.acknowledge()
  })

  test("writes Pingora's message to a process that does not greet", async (t) => {
    const { path } = setup(t)
    const name = { kind: 'unix', path } as const
    const waiting = sockets.open(name)
    t.after(() => {
      sockets.close(waiting)
    })
    sockets.setNonBlocking(waiting)
    sockets.bind(waiting, name)
    sockets.listen(waiting, 1)
    const listening = listeningSockets(t, 2)
    const begunMs = FAST.nowMs()
    await sendListeners({ ...parts, path, maxRetries: 0, listening })
    // It is given time to start to accept, as by Pingora itself.
    assert.ok(FAST.nowMs() - begunMs >= 5_000)
    const fd = sockets.accept(waiting)
    const message = receiveDescriptors(libc!, fd, 2_048)
    sockets.close(fd)
    assert.ok(typeof message === 'object')
    assert.equal(message.bytes.toString(), '127.0.0.1:0 127.0.0.1:1')
    for (const passed of message.fds) sockets.close(passed)
    assert.equal(message.fds.length, 2)
  })

  test('refuses what is no message, and waits on', async (t) => {
    const { path, receive, refused } = setup(t)
    const [socket] = listeningSockets(t, 1).open
    const receiving = receive()
    await untilBound(path)
    for (const [text, fds] of [
      ['127.0.0.1:80 127.0.0.1:81', [socket!.fd]],
      ['{"names":', [socket!.fd]],
      ['{}\n', []],
    ] as const) {
      const fd = connected(t, path)
      sendDescriptors(libc!, fd, Buffer.from(text), fds)
      sockets.shutdownWrite(fd)
    }
    sockets.close(sockets.duplicate(connected(t, path)))
    const sending = sendListeners({
      ...parts,
      path,
      maxRetries: 5,
      listening: listeningSockets(t, 1),
    })
    const received = await receiving
    closeAll(t, received.sockets)
    await received.acknowledge()
    await sending
    assert.deepEqual(refused, [
      '2 names came with 1 descriptors',
      'a message without an end',
      'the old process sent something that is no listener',
    ])
  })

  test('refuses processes of other users on both sides', async (t) => {
    const { path, receive, refused } = setup(t)
    const others = { allowedUsers: new Set([OWN_USER + 1]) }
    const options = { ...parts, path, maxRetries: 1, listening: listeningSockets(t, 1) }
    const receiving = receive({ ...others, maxWaitMs: 10_000 })
    receiving.catch(() => undefined)
    await untilBound(path)
    await assert.rejects(sendListeners({ ...options, ...others }), {
      ...FAILED,
      message: /the other end of the upgrade socket is user/,
    })
    await assert.rejects(sendListeners(options), FAILED)
    await assert.rejects(receiving, { ...FAILED, message: /no old process came/ })
    assert.match(refused[0] ?? '', /the other end of the upgrade socket is user/)
  })

  for (const ending of ['acknowledge', 'abandon'] as const) {
    test(`has the file of a unix socket belong to who serves in the end: ${ending}`, async (t) => {
      const { path, receive } = setup(t)
      const network = new NodeNetwork()
      const file = join(dirname(path), 'a.sock')
      const listening = network.listeningSockets!
      const [socket] = await listening.listen({ kind: 'unix', path: file }, {})
      t.after(() => {
        sockets.close(socket.fd)
      })
      const env = { ...REAL_ENVIRONMENT, network, clock: { ...FAST, wallMs: Date.now } }
      const common = { path, maxRetries: 500, user: OWN_USER, ticketKeys, logger: SILENT_LOGGER }
      const upgrade = new Upgrade({ ...common, env })
      const receiving = receive()
      let onSent = (): void => undefined
      const sent = new Promise<void>((resolve) => (onSent = resolve))
      const isServed = upgrade.handOver(onSent)
      await sent
      const received = await receiving
      closeAll(t, received.sockets)
      // A stop that comes meanwhile must not take it from the new process.
      if (ending === 'acknowledge') listening.release(socket)
      if (ending === 'acknowledge') await received.acknowledge()
      else received.abandon()
      assert.equal(await isServed, ending === 'acknowledge')
      listening.release(socket)
      assert.equal(existsSync(file), ending === 'acknowledge')
    })
  }

  test('lets only its users connect to the upgrade socket', async (t) => {
    const { path, receive } = setup(t)
    const receiving = receive({ maxWaitMs: 100 })
    receiving.catch(() => undefined)
    await untilBound(path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await assert.rejects(receiving, FAILED)
  })

  interface Setup {
    readonly path: string
    readonly refused: string[]
    readonly receive: (more?: Partial<ReceiveListenersOptions>) => Promise<ReceivedListeners>
  }

  function setup(t: TestContext): Setup {
    const folder = temporaryFolder(t)
    const path = join(folder, 'upgrade.sock')
    const refused: string[] = []
    const receive: Setup['receive'] = (more) =>
      receiveListeners({
        ...parts,
        path,
        owner: null,
        maxWaitMs: 1_000_000,
        onBound: () => undefined,
        onRefused: (reason) => refused.push(reason),
        ...more,
      })
    return { path, refused, receive }
  }

  async function untilBound(path: string): Promise<void> {
    while (!existsSync(path) || (statSync(path).mode & 0o777) !== 0o600) {
      await new Promise(setImmediate)
    }
  }

  function connected(t: TestContext, path: string): number {
    const name = { kind: 'unix', path } as const
    const fd = sockets.open(name)
    t.after(() => {
      sockets.close(fd)
    })
    assert.equal(sockets.connect(fd, name), 0)
    return fd
  }

  function closeAll(t: TestContext, passed: readonly InheritedSocket[]): void {
    t.after(() => {
      for (const { fd } of passed) sockets.close(fd)
    })
  }

  /** Sockets on free ports of the loopback address. */
  function listeningSockets(t: TestContext, count: number): ListeningSockets {
    const { listeningSockets: listening } = new NodeNetwork()
    const fds = Array.from({ length: count }, (_, index) => {
      const name = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
      const fd = sockets.open(name)
      assert.equal(sockets.bind(fd, name), 0)
      // The last one is systemd's, under a name of its own.
      const isSupervised = index > 0 && index === count - 1
      const text = isSupervised ? '127.0.0.1:1' : '127.0.0.1:0'
      return { name: text, fd, bound: name, isNonBlocking: false, isSupervised }
    })
    t.after(() => {
      for (const { fd } of fds) sockets.close(fd)
    })
    t.mock.getter(listening!, 'open', () => fds)
    return listening!
  }
})
