import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LISTENING, MemoryTestWorld } from '../../../test/helpers/memory-world.js'
import { Recorder } from '../../../test/helpers/recorder.js'
import { parseSocketAddress } from '../address.js'
import { LINK_DEFAULTS } from './link-options.js'

const ADDRESS = '10.0.0.1:80'

describe('dialling and listening in memory', () => {
  test('a dial takes the way there and back, and who listens is told in between', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 10 } })
    await world.listen()
    const dial = world.network.dial(LISTENING, {})
    await world.advance(9)
    assert.equal(world.accepted.length, 0)
    await world.advance(1)
    assert.equal(world.accepted.length, 1)
    assert.equal(await world.hangs(dial), true)
    await world.advance(10)
    const dialled = await dial
    assert.equal(world.accepted[0]?.digest.establishedMs, 10)
    assert.equal(dialled.digest.establishedMs, 20)
    assert.deepEqual(world.trace, ['10 connect 10.255.0.1:49152 -> 10.0.0.1:80'])
  })

  test('each dial has an address of its own, and the wanted one where it wants one', async () => {
    const world = new MemoryTestWorld()
    const [first, second] = [await world.connect(), await world.connect()]
    assert.equal(first.dialled.digest.localAddress, '10.255.0.1:49152')
    assert.equal(second.dialled.digest.localAddress, '10.255.0.1:49153')
    assert.equal(second.accepted.digest.peerAddress, '10.255.0.1:49153')
    const options = { localAddress: '192.0.2.7' }
    const bound = await world.run(world.network.dial(LISTENING, options))
    assert.equal(bound.digest.localAddress, '192.0.2.7:49154')
    assert.equal(world.accepted[0]?.digest.peerIp, '192.0.2.7')
    for (const localAddress of ['eth0', '::1']) {
      await assert.rejects(world.network.dial(LISTENING, { localAddress }), {
        code: 'PGR_BIND_FAILED',
      })
    }
  })

  test('speaks IPv6', async () => {
    const world = new MemoryTestWorld()
    const address = parseSocketAddress('[fd00::1]:80')
    await world.network.listen(address, {}, (connection) => world.accepted.push(connection))
    const dialled = await world.run(world.network.dial(address, {}))
    assert.equal(dialled.digest.peerAddress, '[fd00::1]:80')
    assert.equal(dialled.digest.localAddress, '[fd00:ff::1]:49152')
    assert.equal(world.accepted[0]?.digest.peerIp, 'fd00:ff::1')
  })

  test('nobody listening is a refusal', async () => {
    const world = new MemoryTestWorld()
    await assert.rejects(world.run(world.network.dial(LISTENING, {})), {
      code: 'PGR_CONNECT_REFUSED',
      message: 'connect 10.0.0.1:80: connection refused',
    })
    assert.deepEqual(world.trace, ['0 refused 10.255.0.1:49152 -> 10.0.0.1:80'])
  })

  test('a listener closes for new connections only', async () => {
    const world = new MemoryTestWorld()
    const arrived: Recorder[] = []
    const listener = await world.network.listen(LISTENING, {}, (connection) => {
      arrived.push(new Recorder(connection))
    })
    const dialled = await world.run(world.network.dial(LISTENING, {}))
    assert.deepEqual(world.network.listening, [ADDRESS])
    await listener.close()
    await listener.close()
    assert.deepEqual(world.network.listening, [])
    await assert.rejects(world.run(world.network.dial(LISTENING, {})), {
      code: 'PGR_CONNECT_REFUSED',
    })
    dialled.write('still here')
    await world.now()
    assert.equal(arrived[0]?.text, 'still here')
    await world.listen()
    await listener.close()
    assert.deepEqual(world.network.listening, [ADDRESS])
  })

  test('an address is listened on once, and port 0 is a free one', async () => {
    const world = new MemoryTestWorld()
    await world.listen()
    await assert.rejects(
      world.network.listen(LISTENING, {}, () => {}),
      { code: 'PGR_LISTEN_FAILED', message: 'listen 10.0.0.1:80: address already in use' },
    )
    const any = { kind: 'ip', host: '10.0.0.1', port: 0 } as const
    const [one, other] = [
      await world.network.listen(any, {}, () => {}),
      await world.network.listen(any, {}, () => {}),
    ]
    assert.deepEqual(one.address, { ...any, port: 50_000 })
    assert.deepEqual(other.address, { ...any, port: 50_001 })
  })

  test('who listens on all addresses is reached by the loopback ones', async () => {
    const world = new MemoryTestWorld()
    const wildcard = parseSocketAddress('0.0.0.0:80')
    await world.network.listen(wildcard, {}, (connection) => world.accepted.push(connection))
    const loopback = parseSocketAddress('127.0.0.1:80')
    await world.run(world.network.dial(loopback, {}))
    assert.equal(world.accepted[0]?.digest.localAddress, '127.0.0.1:80')
    await assert.rejects(world.run(world.network.dial(LISTENING, {})), {
      code: 'PGR_CONNECT_REFUSED',
    })
  })

  test('what the owner of a new connection throws is reported, and its peer sees an end', async () => {
    const world = new MemoryTestWorld()
    await world.network.listen(LISTENING, {}, () => {
      throw new Error('not now')
    })
    const client = new Recorder(await world.run(world.network.dial(LISTENING, {})))
    await world.now()
    assert.equal(client.ended, true)
    assert.deepEqual(world.uncaught.map(String), ['Error: not now'])
  })

  test('a signal ends a dial wherever it is, and leaves nothing open', async () => {
    for (const afterMs of [0, 15]) {
      const world = new MemoryTestWorld({ link: { latencyMs: 10 } })
      await world.listen()
      const controller = new AbortController()
      const dial = world.network.dial(LISTENING, { signal: controller.signal })
      await world.advance(afterMs)
      controller.abort(new Error('too late'))
      await assert.rejects(dial, /too late/)
      const servers = world.accepted.map((connection) => new Recorder(connection))
      await world.advance(100)
      assert.equal(servers.length, afterMs === 0 ? 0 : 1)
      for (const server of servers) {
        assert.equal(server.ended, true)
        server.connection.destroy()
      }
      await world.advance(10)
      assert.equal(world.network.open.size, 0)
      assert.equal(world.clock.pending, 0)
    }
    const gone = AbortSignal.abort(new Error('before it began'))
    const world = new MemoryTestWorld()
    await assert.rejects(world.network.dial(LISTENING, { signal: gone }), /before it began/)
    assert.equal(world.clock.pending, 0)
  })

  test('resolves the names that it was given', async () => {
    const names = { 'api.test': ['10.0.0.1', '10.0.0.2'], 'none.test': [] }
    const { network } = new MemoryTestWorld({ names })
    const resolve = (host: string): Promise<unknown> =>
      network.resolve({ kind: 'name', host, port: 80 })
    assert.deepEqual(await resolve('api.test'), [
      { kind: 'ip', host: '10.0.0.1', port: 80 },
      { kind: 'ip', host: '10.0.0.2', port: 80 },
    ])
    assert.deepEqual(await resolve('none.test'), [])
    assert.deepEqual(await network.resolve(LISTENING), [LISTENING])
    for (const host of ['other.test', 'toString']) {
      await assert.rejects(resolve(host), {
        code: 'PGR_RESOLVE_FAILED',
        message: `resolve ${host}: no such name`,
      })
    }
  })
})

describe('faults of the network in memory', () => {
  test('refuse turns connects away until healed, and leaves others alone', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    world.network.refuse(ADDRESS)
    await assert.rejects(world.connect(), { code: 'PGR_CONNECT_REFUSED' })
    dialled.write('x')
    await world.now()
    assert.equal(server.text, 'x')
    world.network.heal(ADDRESS)
    await world.connect()
  })

  test('a blackholed dial hangs until healed, and can be given up', async () => {
    const world = new MemoryTestWorld()
    await world.listen()
    world.network.blackhole(ADDRESS)
    const controller = new AbortController()
    const [patient, hasty] = [
      world.network.dial(LISTENING, {}),
      world.network.dial(LISTENING, { signal: controller.signal }),
    ]
    assert.equal(await world.hangs(Promise.race([patient, hasty])), true)
    await world.advance(60_000)
    controller.abort(new Error('given up'))
    await assert.rejects(hasty, /given up/)
    world.network.heal(ADDRESS)
    await world.run(patient)
    assert.equal(world.accepted.length, 1)
  })

  test('a partition holds bytes and ends both ways, and they arrive in order when it heals', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 5 } })
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('on its way,')
    world.network.partition(ADDRESS)
    dialled.write('held,')
    accepted.write('back')
    await world.advance(1_000)
    dialled.write('last')
    dialled.end()
    await world.advance(1_000)
    assert.deepEqual([client.bytes, server.bytes], [0, 0])
    world.network.heal(ADDRESS)
    await world.now()
    assert.equal(server.text, 'on its way,held,last')
    assert.equal(server.ended, true)
    assert.equal(client.text, 'back')
  })

  test('a partition holds dials, drains and resets too', async () => {
    const world = new MemoryTestWorld({ link: { bufferBytes: 10 } })
    const { dialled, accepted } = await world.connect()
    const other = await world.connect()
    const client = new Recorder(dialled)
    const victim = new Recorder(other.dialled)
    assert.equal(dialled.write('0123456789abc'), false)
    await world.now()
    world.network.partition(ADDRESS)
    const server = new Recorder(accepted)
    other.accepted.reset()
    const dial = world.network.dial(LISTENING, {})
    assert.equal(await world.hangs(dial), true)
    assert.equal(server.text, '0123456789')
    assert.deepEqual([client.drains, victim.closes], [0, 0])
    world.network.heal(ADDRESS)
    await world.run(dial)
    await world.now()
    assert.equal(server.text, '0123456789abc')
    assert.deepEqual([client.drains, victim.errorCode], [1, 'ECONNRESET'])
  })

  test('resetAll resets both ends of every connection to an address, and no other', async () => {
    const world = new MemoryTestWorld()
    const ends = [await world.connect(), await world.connect()]
    const others: Recorder[] = []
    const elsewhere = parseSocketAddress('10.0.0.2:80')
    await world.network.listen(elsewhere, {}, (peer) => others.push(new Recorder(peer)))
    others.push(new Recorder(await world.run(world.network.dial(elsewhere, {}))))
    const recorders = ends.flatMap(({ dialled, accepted }) => [
      new Recorder(dialled),
      new Recorder(accepted),
    ])
    world.network.resetAll(ADDRESS)
    for (const { connection } of recorders) assert.equal(connection.write('lost'), true)
    await world.now()
    for (const recorder of recorders) {
      assert.deepEqual([recorder.errorCode, recorder.closes], ['ECONNRESET', 1])
      assert.equal(recorder.bytes, 0)
    }
    assert.deepEqual(
      others.map(({ closes }) => closes),
      [0, 0],
    )
    assert.equal(world.network.open.size, 2)
  })

  test('a connection breaks behind exactly so many bytes', async () => {
    for (const bytes of [0, 1, 5, 6]) {
      const world = new MemoryTestWorld()
      world.network.setLink(ADDRESS, { resetAfterBytes: { toDialler: bytes } })
      const { dialled, accepted } = await world.connect()
      const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
      dialled.write('the other way is free')
      await world.now()
      accepted.write('abc')
      accepted.write('defghi')
      await world.now()
      assert.equal(client.text, 'abcdefghi'.slice(0, bytes))
      assert.deepEqual([client.errorCode, server.errorCode], ['ECONNRESET', 'ECONNRESET'])
      assert.equal(world.network.open.size, 0)
    }
  })

  test('resetAfter counts from now', async () => {
    const world = new MemoryTestWorld()
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('before')
    await world.now()
    accepted.resetAfter(3, 'toListener')
    dialled.write('xy')
    await world.now()
    assert.equal(server.closes, 0)
    dialled.write('z!')
    await world.now()
    assert.equal(server.text, 'beforexyz')
    assert.deepEqual([client.errorCode, server.errorCode], ['ECONNRESET', 'ECONNRESET'])
    assert.throws(() => {
      accepted.resetAfter(-1, 'toDialler')
    }, /resetAfter: integer/)
  })

  test('the trace tells every event with its time, and bytes by their checksum', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 1 } })
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('hello')
    accepted.write('hello')
    dialled.end()
    await world.advance(1)
    accepted.reset()
    await world.advance(1)
    const [there, back] = ['10.255.0.1:49152 -> 10.0.0.1:80', '10.0.0.1:80 -> 10.255.0.1:49152']
    assert.deepEqual(world.trace, [
      `1 connect ${there}`,
      `3 data ${there} 5 bytes 3610a686`,
      `3 data ${back} 5 bytes 3610a686`,
      `3 fin ${there}`,
      `4 rst ${back}`,
    ])
    assert.deepEqual([client.text, server.text], ['hello', 'hello'])
  })
})

describe('links of the network in memory', () => {
  test('a link of its own takes the rest from the network’s', () => {
    const { network } = new MemoryTestWorld({ link: { latencyMs: 7, bufferBytes: 9 } })
    assert.deepEqual(network.link('10.0.0.9:1'), {
      ...LINK_DEFAULTS,
      latencyMs: 7,
      bufferBytes: 9,
    })
    network.setLink(ADDRESS, { latencyMs: 1, resetAfterBytes: { toDialler: 3 } })
    assert.deepEqual(network.link(LISTENING), {
      ...LINK_DEFAULTS,
      latencyMs: 1,
      bufferBytes: 9,
      resetAfterBytes: { toListener: Infinity, toDialler: 3 },
    })
  })

  test('refuses values that no link has', () => {
    const { network } = new MemoryTestWorld()
    for (const link of [
      { latencyMs: -1 },
      { latencyMs: Infinity },
      { bytesPerSecond: 0 },
      { bytesPerSecond: NaN },
      { split: [] },
      { split: [0] },
      { bufferBytes: 0 },
      { resetAfterBytes: { toListener: -1 } },
      { resetAfterBytes: { toDialler: 0.5 } },
    ]) {
      assert.throws(
        () => {
          network.setLink(ADDRESS, link)
        },
        { code: 'PGR_OPTION_INVALID' },
      )
    }
    assert.throws(
      () => {
        network.refuse('no-address')
      },
      { code: 'PGR_ADDRESS_INVALID' },
    )
  })

  test('holds for connections from now on', async () => {
    const world = new MemoryTestWorld()
    const old = await world.connect()
    world.network.setLink(ADDRESS, { latencyMs: 100 })
    const server = new Recorder(old.accepted)
    old.dialled.write('x')
    await world.now()
    assert.equal(server.text, 'x')
  })

  for (const [split, text, pieces] of [
    ['whole', ['abc', 'de'], ['abc', 'de']],
    ['bytes', ['abc', 'de'], ['a', 'b', 'c', 'd', 'e']],
    [
      [1, 2],
      ['abcdef', 'gh'],
      ['a', 'bc', 'de', 'fg', 'h'],
    ],
  ] as const) {
    test(`gives a reader who comes late ${String(split)} pieces`, async () => {
      const world = new MemoryTestWorld({ link: { split } })
      const { dialled, accepted } = await world.connect()
      for (const part of text) dialled.write(part)
      await world.now()
      const server = new Recorder(accepted)
      const got: string[] = []
      server.onChunk = (buffer, length) => got.push(buffer.toString('latin1', 0, length))
      await world.now()
      assert.deepEqual(got, pieces)
    })
  }

  test('random pieces are drawn from the given chance: one seed, one cut', async () => {
    const cuts = async (seed: number): Promise<number[]> => {
      let state = seed
      const next = (): number => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
      const world = new MemoryTestWorld({ link: { split: 'random' }, random: { next } })
      const { dialled, accepted } = await world.connect()
      const sizes: number[] = []
      new Recorder(accepted).onChunk = (_buffer, length) => sizes.push(length)
      for (let write = 0; write < 20; write++) {
        dialled.write('x'.repeat(100))
        await world.now()
      }
      return sizes
    }
    assert.deepEqual(await cuts(7), await cuts(7))
    assert.notDeepEqual(await cuts(7), await cuts(8))
    assert.ok((await cuts(7)).some((size) => size <= 3))
    assert.ok((await cuts(7)).includes(100))
  })

  test('bytes arrive no faster than the link carries them, each way by itself', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 10, bytesPerSecond: 10_000 } })
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write(Buffer.alloc(20_000))
    dialled.end()
    accepted.write(Buffer.alloc(1_000))
    await world.advance(109)
    assert.equal(client.bytes, 0)
    await world.advance(1)
    assert.equal(client.bytes, 1_000)
    let last = server.bytes
    for (let ms = 110; ms < 2_010; ms += 10) {
      await world.advance(10)
      assert.ok(server.bytes <= (ms / 10) * 100 && server.bytes - last <= 1_460)
      last = server.bytes
    }
    assert.equal(server.bytes, 20_000)
    assert.equal(server.ended, true)
  })

  test('a reset on a slow link drops what has not left, and is not behind it', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 10, bytesPerSecond: 1_460_000 } })
    const { dialled, accepted } = await world.connect()
    const server = new Recorder(accepted)
    dialled.write(Buffer.alloc(14_600))
    await world.advance(2.5)
    dialled.reset()
    await world.advance(10.5)
    assert.equal(server.bytes, 3 * 1_460)
    assert.equal(server.errorCode, 'ECONNRESET')
  })
})
