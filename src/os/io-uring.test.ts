import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { IoUring } from './io-uring.js'
import { loadLibc } from './libc.js'
import type { Libc } from './libc.js'
import { Memory } from './memory.js'
import { Sockets } from './sockets.js'

const libc = loadLibc()
// A kernel without io_uring is a machine that the product supports too, by other ways.
const ring = libc && IoUring.open(libc)
const { EAGAIN, EBADF, ECANCELED, ECONNREFUSED } = constants.errno

interface Done {
  readonly slot: number
  readonly kind: number
  readonly result: number
  readonly flags: number
}

describe('IoUring', { skip: ring === null && 'no io_uring here', timeout: 20_000 }, () => {
  const uring = ring!
  const sockets = new Sockets(libc!)

  /** Enters until `count` operations are complete. */
  async function complete(count: number): Promise<Done[]> {
    const done: Done[] = []
    for (;;) {
      uring.enter()
      uring.drain((slot, kind, result, flags) => done.push({ slot, kind, result, flags }))
      if (done.length >= count) return done
      await new Promise(setImmediate)
    }
  }

  /** What enter tells of sends that sent too little. */
  function unsentOf(enter: () => void): [number, number][] {
    const unsent: [number, number][] = []
    uring.onUnsent = (slot, result) => unsent.push([slot, result])
    enter()
    uring.onUnsent = () => undefined
    return unsent
  }

  /** Two connected descriptors, closed after the test. */
  async function connectedPair(t: TestContext): Promise<[number, number]> {
    const name = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const [listening, dialling] = [sockets.open(name), sockets.open(name)]
    assert.equal(sockets.bind(listening, name), 0)
    assert.equal(sockets.listen(listening, 1), 0)
    const where = sockets.address({ ...name, port: sockets.localEnd(listening)[1] })
    assert.ok(typeof where === 'object')
    uring.accept(1, 0, listening, false)
    uring.connect(2, 0, dialling, where.memory.address, where.length)
    const done = await complete(2)
    assert.equal(done.find(({ slot }) => slot === 2)?.result, 0)
    const accepted = done.find(({ slot }) => slot === 1)
    assert.ok(accepted && accepted.result >= 0)
    assert.equal(IoUring.isLast(accepted.flags), false)
    uring.cancel(listening)
    const [ended] = (await complete(2)).filter(({ slot }) => slot === 1)
    assert.equal(ended?.result, -ECANCELED)
    assert.equal(IoUring.isLast(ended.flags), true)
    sockets.close(listening)
    t.after(() => {
      sockets.close(dialling)
      sockets.close(accepted.result)
    })
    return [dialling, accepted.result]
  }

  test('accepts, connects, sends and receives, and says which is which', async (t) => {
    const [near, far] = await connectedPair(t)
    const [out, into] = [Memory.allocate(libc!, 100), Memory.allocate(libc!, 4)]
    out.bytes.write('hello')
    uring.receive(7, 3, far, into, true)
    uring.send(9, 5, near, out.address, 5)
    const done = await complete(2)
    assert.deepEqual(
      done.map(({ slot, kind, result }) => [slot, kind, result]).sort(),
      [
        [7, 3, 4],
        [9, 5, 5],
      ].sort(),
    )
    assert.equal(into.bytes.toString(), 'hell')
    const received = done.find(({ slot }) => slot === 7)
    assert.equal(IoUring.hasMore(received!.flags), true)
    uring.receive(7, 3, far, into, false)
    const [last] = await complete(1)
    assert.deepEqual([last?.result, into.bytes.toString('latin1', 0, 1)], [1, 'o'])
  })

  test('a send at once completes only when it sent too little, and before enter returns', async (t) => {
    const [near, far] = await connectedPair(t)
    const out = Memory.allocate(libc!, 8 * 1024 * 1024)
    const enter = (): void => {
      uring.enter()
    }
    uring.sendAtOnce(5, near, out.address, 100)
    assert.deepEqual(unsentOf(enter), [])
    assert.equal(sockets.receive(far, Buffer.alloc(200)), 100)

    uring.sendAtOnce(5, near, out.address, out.bytes.length)
    uring.sendAtOnce(6, near, out.address, out.bytes.length)
    const [first, second] = unsentOf(enter)
    assert.equal(first?.[0], 5)
    assert.ok(first[1] > 0 && first[1] < out.bytes.length, `sent ${first[1]}`)
    // The peer's side may have taken some in between, but never so much.
    assert.equal(second?.[0], 6)
    assert.ok(second[1] === -EAGAIN || (second[1] > 0 && second[1] < out.bytes.length))
    uring.sendAtOnce(7, -1, out.address, 1)
    assert.deepEqual(unsentOf(enter), [[7, -EBADF]])
    // Of all of it nothing is told again.
    const told: number[] = []
    uring.drain((slot) => told.push(slot))
    assert.ok(
      told.every((slot) => slot === 0),
      String(told),
    )
  })

  test('looks at each send at once but once when who is told fills the ring', () => {
    const out = Memory.allocate(libc!, 1)
    const total = 800
    for (let slot = 1; slot <= total; slot++) uring.sendAtOnce(slot, -1, out.address, 1)
    const unsent: number[] = []
    uring.onUnsent = (slot) => {
      unsent.push(slot)
      // Two operations each are more than the ring has room for: it is entered in between.
      for (const kind of [1, 2]) uring.close(slot, kind, -1)
    }
    const begun = performance.now()
    uring.enter()
    uring.onUnsent = () => undefined
    // It would go around through all 32-bit positions, standing still for a good while.
    assert.ok(performance.now() - begun < 5_000, 'the thread stood still')
    assert.equal(new Set(unsent).size, total)
    assert.equal(unsent.length, total)
    uring.enter()
    const closed: number[] = []
    uring.drain((slot) => closed.push(slot))
    assert.equal(closed.filter((slot) => slot !== 0).length, 2 * total)
  })

  test('tells of sends at once in time when completions have no room', () => {
    const out = Memory.allocate(libc!, 1)
    const slots = Array.from({ length: 20_000 }, (_, index) => index + 1)
    const isSend = (slot: number): boolean => slot % 1_000 === 0
    const unsent = unsentOf(() => {
      for (const slot of slots) {
        if (isSend(slot)) uring.sendAtOnce(slot, -1, out.address, 1)
        else uring.close(slot, 2, -1)
      }
      uring.enter()
    })
    assert.deepEqual(
      unsent,
      slots.filter(isSend).map((slot) => [slot, -EBADF]),
    )
    const told: number[] = []
    uring.drain((slot) => told.push(slot))
    assert.deepEqual(
      told.filter((slot) => slot !== 0),
      slots.filter((slot) => !isSend(slot)),
    )
  })

  test('cancels what is in progress on a descriptor', async (t) => {
    const [near] = await connectedPair(t)
    uring.receive(4, 1, near, Memory.allocate(libc!, 4), true)
    await complete(0)
    uring.cancel(near)
    const done = await complete(2)
    assert.deepEqual(
      done.map(({ slot, result }) => [slot, result]).sort(),
      [
        [0, 1],
        [4, -ECANCELED],
      ].sort(),
    )
  })

  test('tells a refused connect by its errno', async (t) => {
    const name = { kind: 'ip', host: '127.0.0.1', port: 0 } as const
    const [bound, fd] = [sockets.open(name), sockets.open(name)]
    t.after(() => {
      sockets.close(bound)
      sockets.close(fd)
    })
    sockets.bind(bound, name)
    const where = sockets.address({ ...name, port: sockets.localEnd(bound)[1] })
    assert.ok(typeof where === 'object')
    uring.connect(3, 0, fd, where.memory.address, where.length)
    assert.deepEqual((await complete(1))[0]?.result, -ECONNREFUSED)
  })

  test('takes any number of operations, each completed once', async () => {
    const total = 20_000
    for (let slot = 1; slot <= total; slot++) uring.close(slot, 2, -1)
    const done = await complete(total)
    assert.equal(done.length, total)
    assert.ok(done.every(({ kind, result }) => kind === 2 && result === -EBADF))
    assert.equal(new Set(done.map(({ slot }) => slot)).size, total)
    assert.equal(uring.queued, 0)
  })

  test('goes on after a handler that throws, without telling twice', () => {
    for (const slot of [1, 2]) uring.close(slot, 0, -1)
    uring.enter()
    const told: number[] = []
    const tell = (slot: number): void => {
      told.push(slot)
      if (slot === 1) throw new Error('not me')
    }
    assert.throws(() => uring.drain(tell), /not me/)
    assert.equal(uring.drain(tell), 1)
    assert.deepEqual(told, [1, 2])
  })

  test('says after a time of silence whether something came', async (t) => {
    const [near, far] = await connectedPair(t)
    uring.receive(6, 0, far, Memory.allocate(libc!, 4), true)
    await complete(0)
    uring.mute()
    assert.equal(uring.unmute(), false)
    uring.mute()
    assert.equal(sockets.send(near, ['x']), 1)
    assert.equal(uring.unmute(), true)
    assert.equal((await complete(1))[0]?.slot, 6)
  })

  test('is not there, and leaves nothing open, where the kernel refuses any part of it', () => {
    const closed: number[] = []
    const failing = (part: Partial<Libc>): Libc => ({
      ...libc!,
      close: (fd) => closed.push(fd) && libc!.close(fd),
      ...part,
    })
    assert.equal(IoUring.open(failing({ ioUringSetup: () => -1 })), null)
    assert.equal(closed.length, 0)
    assert.equal(IoUring.open(failing({ eventfd: () => -1 })), null)
    assert.equal(closed.length, 1)
    assert.equal(IoUring.open(failing({ ioUringRegister: () => -1 })), null)
    assert.equal(closed.length, 3)
  })
})
