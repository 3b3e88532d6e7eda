import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RecordingConnection } from '../../../test/helpers/recording-connection.js'
import { LISTENING, MemoryTestWorld } from '../../../test/helpers/memory-world.js'
import type { MemoryEnds } from '../../../test/helpers/memory-world.js'
import { Recorder } from '../../../test/helpers/recorder.js'
import type { TlsClientOptions } from '../tls-client-options.js'
import type { MemoryConnection } from './memory-connection.js'
import type { MemoryTlsOptions } from './memory-tls.js'

const ADDRESS = '10.0.0.1:80'
const CLIENT: TlsClientOptions = {
  sni: 'one.example',
  verifyName: 'one.example',
  verifyChain: true,
  alpn: ['http/1.1'],
  sessionKey: '',
}
const SERVER: MemoryTlsOptions = {
  names: ['one.example', '*.wild.example', 'api-v1.under.example', '10.0.0.1', 'fd00::1'],
}

describe('modelled TLS', () => {
  test('takes a round trip and gives a new connection with its facts; bytes stay readable', async () => {
    const world = new MemoryTestWorld({ link: { latencyMs: 5 } })
    world.network.serveTls(ADDRESS, { ...SERVER, alpn: ['h2', 'http/1.1'] })
    const { dialled, accepted } = await world.connect({ forTls: true })
    assert.equal(world.network.acceptedTls(accepted), undefined)
    const handshake = world.network.startTls(dialled, CLIENT)
    assert.equal(dialled.destroyed, true)
    await world.advance(9)
    assert.equal(await world.hangs(handshake), true)
    await world.advance(1)
    const secured = await handshake
    assert.notEqual(secured, dialled)
    assert.equal(secured.digest.establishedMs, 20)
    assert.equal(secured.digest.localAddress, dialled.digest.localAddress)
    assert.deepEqual(secured.digest.tls, {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      sni: 'one.example',
      alpn: 'http/1.1',
      resumed: false,
      handshakeMs: 10,
      peerCertificate: null,
      peerVerified: false,
    })
    const facts = { sni: 'one.example', alpn: 'http/1.1' }
    assert.deepEqual(world.network.acceptedTls(accepted), facts)
    const [client, server] = [new Recorder(secured), new Recorder(accepted)]
    secured.write('question')
    accepted.write('answer')
    await world.advance(5)
    assert.deepEqual([client.text, server.text], ['answer', 'question'])
    assert.equal(world.network.open.size, 2)
    secured.end()
    accepted.end()
    await world.advance(5)
    assert.deepEqual([client.closes, server.closes], [1, 1])
    assert.equal(world.network.open.size, 0)
  })

  const accepted: [string, Partial<TlsClientOptions>, Partial<MemoryTlsOptions>][] = [
    ['a wildcard covers the name', { verifyName: 'a.wild.example' }, {}],
    ['the IPv4 address is in the certificate', { verifyName: '10.0.0.1' }, {}],
    ['the IPv6 address is, in other words', { verifyName: 'fd00:0::0:1' }, {}],
    ['no name is to be verified', { verifyName: '' }, {}],
    ['nothing is to be verified', { verifyChain: false, verifyName: 'x' }, { trusted: false }],
    ['an underscore stands for a dash', { verifyName: 'api_v1.under.example' }, {}],
    ['the client offers no protocol', { alpn: [] }, { alpn: ['h2'] }],
  ]
  for (const [why, client, server] of accepted) {
    test(`accepts the peer when ${why}`, async () => {
      const { handshake } = await shakeHands(client, server)
      assert.equal((await handshake).destroyed, false)
    })
  }

  const refused: [string, Partial<TlsClientOptions>, Partial<MemoryTlsOptions>, RegExp][] = [
    ['it is not trusted', {}, { trusted: false }, /unable to verify/],
    ['the name is another', { verifyName: 'two.example' }, {}, /does not match/],
    ['the name is of more labels', { verifyName: 'a.b.wild.example' }, {}, /does not match/],
    ['a dash is not where it would be', { verifyName: 'api.v_1.example' }, {}, /does not match/],
    ['the IP address is another', { verifyName: '10.0.0.2' }, {}, /not in the certificate/],
  ]
  for (const [why, client, server, reason] of refused) {
    test(`refuses the peer when ${why}, and closes both ends`, async () => {
      const { world, ends, handshake } = await shakeHands(client, server)
      const peer = new Recorder(ends.accepted)
      await assert.rejects(handshake, (error: Error & { code?: string }) => {
        assert.equal(error.code, 'PGR_CERTIFICATE_INVALID')
        assert.match(error.message, /^TLS 10\.0\.0\.1:80: /)
        assert.match(error.message, reason)
        return true
      })
      await world.now()
      assert.equal(peer.ended, true)
      peer.connection.destroy()
      await world.now()
      assert.equal(world.network.open.size, 0)
    })
  }

  test('fails where TLS is not spoken, or no protocol is common', async () => {
    const plain = new MemoryTestWorld()
    const { dialled } = await plain.connect({ forTls: true })
    await assert.rejects(plain.run(plain.network.startTls(dialled, CLIENT)), {
      code: 'PGR_TLS_HANDSHAKE_FAILED',
      message: 'TLS 10.0.0.1:80: the peer does not speak TLS',
    })
    const { handshake } = await shakeHands({}, { alpn: ['h2'] })
    await assert.rejects(handshake, { code: 'PGR_TLS_HANDSHAKE_FAILED' })
  })

  test('fails when the peer closes or resets meanwhile, or did before', async () => {
    for (const how of ['destroy', 'reset'] as const) {
      for (const before of [false, true]) {
        const world = new MemoryTestWorld({ link: { latencyMs: 5 } })
        world.network.serveTls(ADDRESS, SERVER)
        const { dialled, accepted } = await world.connect({ forTls: true })
        if (before) {
          accepted[how]()
          await world.advance(5)
        }
        const handshake = world.network.startTls(dialled, CLIENT)
        accepted[how]()
        await assert.rejects(world.run(handshake), {
          code: 'PGR_TLS_HANDSHAKE_FAILED',
          message: 'TLS 10.0.0.1:80: the peer closed the connection',
        })
        await world.advance(10)
        assert.equal(world.network.open.size, 0)
      }
    }
  })

  test('hangs at a peer that is blackholed or cut off, until it is healed or given up', async () => {
    for (const fault of ['blackhole', 'partition'] as const) {
      const world = new MemoryTestWorld()
      world.network.serveTls(ADDRESS, SERVER)
      const ends = [await world.connect({ forTls: true }), await world.connect({ forTls: true })]
      world.network[fault](ADDRESS)
      const controller = new AbortController()
      const [patient, hasty] = [
        world.network.startTls(ends[0]!.dialled, CLIENT),
        world.network.startTls(ends[1]!.dialled, CLIENT, controller.signal),
      ]
      assert.equal(await world.hangs(Promise.race([patient, hasty])), true)
      controller.abort(new Error('given up'))
      await assert.rejects(hasty, /given up/)
      world.network.heal(ADDRESS)
      await world.run(patient)
    }
    const world = new MemoryTestWorld()
    const { dialled } = await world.connect({ forTls: true })
    const gone = AbortSignal.abort(new Error('before it began'))
    await assert.rejects(world.network.startTls(dialled, CLIENT, gone), /before it began/)
  })

  test('resumes a session of the same key, as long as the listener stays the same', async () => {
    const world = new MemoryTestWorld()
    world.network.serveTls(ADDRESS, SERVER)
    const resumed = async (options: Partial<TlsClientOptions>): Promise<boolean | undefined> => {
      const { dialled } = await world.connect({ forTls: true })
      const handshake = world.network.startTls(dialled, { ...CLIENT, ...options })
      return (await world.run(handshake)).digest.tls?.resumed
    }
    assert.equal(await resumed({ sessionKey: 'a' }), false)
    assert.equal(await resumed({ sessionKey: 'a' }), true)
    assert.equal(await resumed({ sessionKey: 'b' }), false)
    assert.equal(await resumed({ sessionKey: 'a', verifyName: '' }), false)
    assert.equal(await resumed({}), false)
    assert.equal(await resumed({}), false)
    world.network.serveTls(ADDRESS, { ...SERVER })
    assert.equal(await resumed({ sessionKey: 'a' }), false)
  })

  test('asks for no name by SNI when that is an IP address', async () => {
    const { world, ends, handshake } = await shakeHands({ sni: '10.0.0.1', verifyName: '10.0.0.1' })
    await handshake
    assert.equal(world.network.acceptedTls(ends.accepted)?.sni, '')
  })

  test('a connection that was not dialled for TLS, or is another’s, is refused and closed', async () => {
    const world = new MemoryTestWorld()
    const { dialled } = await world.connect()
    for (const connection of [dialled, new RecordingConnection()]) {
      await assert.rejects(world.network.startTls(connection, CLIENT), { code: 'PGR_INTERNAL' })
      assert.equal(connection.destroyed, true)
    }
    assert.equal(world.network.acceptedTls(new RecordingConnection()), undefined)
  })

  test('a client that speaks without a handshake is reset', async () => {
    const world = new MemoryTestWorld()
    world.network.serveTls(ADDRESS, SERVER)
    const { dialled, accepted } = await world.connect()
    const [client, server] = [new Recorder(dialled), new Recorder(accepted)]
    dialled.write('GET / HTTP/1.1\r\n\r\n')
    await world.now()
    assert.equal(server.bytes, 0)
    assert.deepEqual([client.errorCode, server.errorCode], ['ECONNRESET', 'ECONNRESET'])
  })

  test('a secured connection is closed where a plain one would be reset', async () => {
    const { world, ends, handshake } = await shakeHands()
    const server = new Recorder(ends.accepted)
    ;(await handshake).reset()
    await world.now()
    assert.deepEqual([server.ended, server.error], [true, null])
  })
})

interface Handshake {
  readonly world: MemoryTestWorld
  readonly ends: MemoryEnds
  readonly handshake: Promise<MemoryConnection>
}

/** A handshake at {@link LISTENING}; settled, but for the caller to look at. */
async function shakeHands(
  client: Partial<TlsClientOptions> = {},
  server: Partial<MemoryTlsOptions> = {},
): Promise<Handshake> {
  const world = new MemoryTestWorld()
  world.network.serveTls(LISTENING, { ...SERVER, ...server })
  const ends = await world.connect({ forTls: true })
  const handshake = world.network.startTls(ends.dialled, { ...CLIENT, ...client })
  await world.run(handshake).catch(() => {})
  return { world, ends, handshake }
}
