import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { testConnection, testResetBehindBytes } from '../../../test/helpers/contracts/connection.js'
import { memoryPair } from '../../../test/helpers/memory-pair.js'
import { MemoryTestWorld } from '../../../test/helpers/memory-world.js'
import { Recorder } from '../../../test/helpers/recorder.js'

testConnection('a memory connection', (t) => memoryPair(t))
testConnection('a memory connection over a slow link', (t) =>
  memoryPair(t, { latencyMs: 3, bytesPerSecond: 1_000_000 }),
)
testResetBehindBytes('a memory connection that was reset', (t) => memoryPair(t))

describe('a memory connection and its handler', () => {
  test('tells nothing within a call of either end', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('x')
    assert.equal(server.bytes, 0)
    await world.now()
    accepted.pause()
    dialled.write('y')
    await world.now()
    accepted.resume()
    assert.equal(server.text, 'x')
    await world.now()
    assert.equal(server.text, 'xy')
    dialled.end()
    accepted.end()
    await world.now()
    assert.deepEqual([client.closes, server.closes], [1, 1])
  })

  test('overwrites what it lent, unless it was retained within the call', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    let lent: Buffer = Buffer.alloc(0)
    server.onChunk = (buffer, length) => {
      lent = buffer.subarray(0, length)
      if (lent.toString() === 'keep me') accepted.retain()
    }
    accepted.retain() // Outside of `onData`: means nothing.
    dialled.write('forget me')
    await world.now()
    assert.deepEqual(lent, Buffer.alloc(9, 0xaa))
    dialled.write('keep me')
    await world.now()
    const kept = lent
    dialled.write('another')
    await world.now()
    assert.equal(server.text, 'forget mekeep meanother')
    assert.equal(kept.toString(), 'keep me')
    assert.deepEqual(lent, Buffer.alloc(7, 0xaa))
  })

  test('sends the bytes of a pending write as they are when they leave', async () => {
    const world = new MemoryTestWorld({ link: { bufferBytes: 4 } })
    const { dialled, accepted } = await world.connect()
    const bytes = Buffer.from('12345678')
    assert.equal(dialled.write(bytes), false)
    assert.equal(dialled.pendingBytes, 4)
    bytes.fill('x')
    const server = new Recorder(accepted)
    await world.now()
    assert.equal(server.text, '1234xxxx')
    assert.equal(dialled.write(Buffer.from('abcd')), true)
  })

  test('writes in onDrain go on where the others ended', async () => {
    const world = new MemoryTestWorld({ link: { bufferBytes: 10 } })
    const { dialled, accepted } = await world.connect()
    const client = new Recorder(dialled)
    const server = new Recorder(accepted)
    const lines = ['a'.repeat(25), 'b'.repeat(25), 'c'.repeat(25)]
    client.onDrain = () => {
      client.drains++
      const line = lines.shift()
      if (line === undefined) dialled.end()
      else assert.equal(dialled.write(line), false)
    }
    assert.equal(dialled.write('0123456789-'), false)
    await world.now()
    assert.equal(server.text, `0123456789-${'a'.repeat(25)}${'b'.repeat(25)}${'c'.repeat(25)}`)
    assert.equal(server.ended, true)
    assert.equal(client.drains, 4)
  })

  test('a reader that pauses and resumes within onData gets the rest in later calls', async () => {
    const world = new MemoryTestWorld({ link: { split: [2] } })
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    let depth = 0
    const pieces: string[] = []
    server.onChunk = (buffer, length) => {
      assert.equal(++depth, 1)
      pieces.push(buffer.toString('latin1', 0, length))
      accepted.pause()
      accepted.resume()
      accepted.pause()
      accepted.resume()
      depth--
    }
    dialled.write('12345')
    dialled.end()
    await world.now()
    assert.deepEqual(pieces, ['12', '34', '5'])
    assert.equal(server.ended, true)
  })

  test('a connection that is destroyed within onData tells nothing more but its close', async () => {
    for (const how of ['destroy', 'reset'] as const) {
      const world = new MemoryTestWorld({ link: { split: 'bytes' } })
      const { dialled, accepted } = await world.connect()
      const client = new Recorder(dialled)
      const server = new Recorder(accepted)
      server.onChunk = () => {
        accepted[how]()
        assert.equal(server.closes, 0)
      }
      dialled.write('abc')
      dialled.end()
      await world.now()
      assert.deepEqual([server.text, server.ended, server.closes], ['a', false, 1])
      assert.equal(server.error, null)
      assert.equal(client.errorCode, 'ECONNRESET')
      assert.equal(world.network.open.size, 0)
    }
  })

  test('closes with EPIPE when the peer had ended before it went away', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    dialled.destroy()
    await world.now()
    assert.equal(server.ended, true)
    accepted.write('into the void')
    await world.now()
    assert.equal(server.closes, 0)
    assert.equal(accepted.write('again'), true)
    assert.equal(accepted.destroyed, true)
    await world.now()
    assert.equal(server.errorCode, 'EPIPE')
  })

  test('an end after an unseen reset is an orderly end', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    dialled.destroy()
    await world.now()
    accepted.write('into the void')
    await world.now()
    accepted.end()
    await world.now()
    assert.deepEqual([server.closes, server.error], [1, null])
  })

  test('a paused reader learns of a reset by pending bytes, and else when it reads', async () => {
    for (const pending of [true, false]) {
      const world = new MemoryTestWorld()
      const { dialled, accepted } = await world.connect()
      const server = new Recorder(accepted, { resume: false })
      accepted.write(Buffer.alloc(pending ? 100_000 : 100))
      dialled.reset()
      await world.now()
      assert.equal(server.closes, pending ? 1 : 0)
      accepted.resume()
      await world.now()
      assert.equal(server.errorCode, 'ECONNRESET')
      assert.equal(server.closes, 1)
    }
  })

  test('a reader that pauses before it comes to the reset learns of it by pending bytes', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted, { resume: false })
    dialled.write('unread')
    await world.now()
    server.onChunk = () => {
      accepted.pause()
    }
    accepted.write(Buffer.alloc(100_000))
    dialled.reset()
    accepted.resume()
    await world.now()
    assert.deepEqual([server.text, server.errorCode], ['unread', 'ECONNRESET'])
  })

  test('a destroy after an end sends nothing more', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    dialled.end()
    dialled.end()
    dialled.destroy()
    await world.now()
    assert.equal(server.ended, true)
    assert.deepEqual(world.trace.slice(1), ['0 fin 10.255.0.1:49152 -> 10.0.0.1:80'])
  })

  test('a reset behind an unread FIN is a reset, unless we have ended too', async () => {
    for (const ended of [false, true]) {
      const world = new MemoryTestWorld()
      const { dialled, accepted } = await world.connect()
      const server = new Recorder(accepted, { resume: false })
      dialled.write('all')
      dialled.destroy()
      await world.now()
      accepted.write('x')
      if (ended) accepted.end()
      await world.now()
      accepted.resume()
      await world.now()
      assert.equal(server.text, 'all')
      assert.deepEqual([server.ended, server.errorCode], ended ? [true, ''] : [false, 'ECONNRESET'])
      assert.equal(server.closes, 1)
    }
  })

  test('counts corked bytes as pending and sends what was corked as one write', async () => {
    const world = new MemoryTestWorld({ link: { bufferBytes: 8 } })
    const { dialled, accepted } = await world.connect()
    const client = new Recorder(dialled)
    const server = new Recorder(accepted)
    const sizes: number[] = []
    server.onChunk = (_buffer, length) => sizes.push(length)
    dialled.cork()
    for (const text of ['head', '', 'bo', 'dy']) assert.equal(dialled.write(text), true)
    assert.equal(dialled.pendingBytes, 8)
    assert.equal(dialled.uncork(), true)
    assert.equal(dialled.pendingBytes, 0)
    await world.now()
    dialled.cork()
    dialled.write('0123456')
    dialled.write('789')
    assert.equal(dialled.uncork(), false)
    assert.equal(dialled.pendingBytes, 2)
    await world.now()
    assert.deepEqual(sizes, [8, 8, 2])
    assert.equal(client.drains, 1)
  })

  test('a peer that closes with bytes unread cuts off what is pending', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const client = new Recorder(dialled)
    new Recorder(accepted, { resume: false })
    dialled.write(Buffer.alloc(200_000))
    await world.now()
    accepted.destroy()
    await world.now()
    assert.equal(client.errorCode, 'ECONNRESET')
    assert.equal(client.drains, 0)
    assert.equal(client.ended, false)
  })

  test('tells a late handler of its close once', async () => {
    const world = new MemoryTestWorld()
    const { dialled } = await world.connect()
    dialled.destroy()
    await world.now()
    assert.equal(world.network.open.size, 1)
    const late = new Recorder(dialled)
    await world.now()
    const later = new Recorder(dialled)
    dialled.pause()
    dialled.resume()
    await world.now()
    assert.deepEqual([late.closes, later.closes], [1, 0])
  })

  test('a unix connection cannot be reset, and is closed instead', async () => {
    const world = new MemoryTestWorld()
    const address = { kind: 'unix', path: '/run/a.sock' } as const
    await world.network.listen(address, {}, (connection) => world.accepted.push(connection))
    const dialled = await world.run(world.network.dial(address, {}))
    const server = new Recorder(world.accepted[0]!)
    assert.deepEqual(
      [dialled.digest.peerAddress, dialled.digest.localAddress, dialled.digest.peerIp],
      ['unix:/run/a.sock', 'unix:', ''],
    )
    assert.deepEqual(
      [server.connection.digest.peerAddress, server.connection.digest.localAddress],
      ['unix:', 'unix:/run/a.sock'],
    )
    dialled.reset()
    await world.now()
    assert.deepEqual([server.ended, server.error], [true, null])
  })
})
