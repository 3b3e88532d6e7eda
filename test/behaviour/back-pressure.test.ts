import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { MemoryConnection, TestPeer, TestWorld } from '../../src/testing/index.js'
import { testProxy } from '../helpers/test-world.js'

const KIB = 1024
const MIB = 1024 * KIB
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const POST_HEAD = (length: number): string =>
  `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`
/** Many times what the network and the proxy may hold together. */
const TOTAL = 4 * MIB
/** What the network holds in one direction of a connection. */
const NETWORK_HOLDS = 64 * KIB
/** What the proxy may hold per direction, whatever the size of the body: a few reads. */
const MAX_HELD = 256 * KIB

describe('a body that is larger than memory should hold', () => {
  for (const pieceBytes of [3_000, 256 * KIB]) {
    test(`comes down whole in writes of ${pieceBytes} bytes, and waits for a slow client`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      const { peer: client } = await proxy.client()
      client.send(GET)
      const origin = await upstream.next()
      await origin.request()
      origin.send(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`)
      await client.untilText('\r\n\r\n')
      await transfers(world, origin, client, proxyEnd(world, client), pieceBytes)
      const [session] = proxy.sessions
      assert.deepEqual([session?.loggings, session?.error], [1, undefined])
      assert.equal(session?.session.bodyBytesSent, TOTAL)
    })

    test(`goes up whole in writes of ${pieceBytes} bytes, and waits for a slow upstream`, async (t) => {
      const { world, proxy, upstream } = await testProxy(t)
      const client = await proxy.client()
      client.send(POST_HEAD(TOTAL))
      const origin = await upstream.next()
      await origin.untilText('\r\n\r\n')
      await transfers(world, client.peer, origin, proxyEnd(world, origin), pieceBytes)
      origin.send(reply(200, 'ok').bytes)
      assert.equal((await client.exchange('POST')).text, 'ok')
      assert.equal(proxy.sessions[0]?.session.bodyBytesRead, TOTAL)
    })
  }

  test('lets a client be heard that leaves after a stalled upload, and the upstream too', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const { peer: client } = await proxy.client()
    client.send(POST_HEAD(TOTAL))
    const origin = await upstream.next()
    await origin.untilText('\r\n\r\n')
    await transfers(world, client, origin, proxyEnd(world, origin), 256 * KIB)
    client.end()
    await origin.untilEnded()
    assert.equal(proxy.sessions[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
  })

  test('is taken for an early answer whose client uploads on', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    client.send(POST_HEAD(TOTAL))
    const origin = await upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.send(reply(413, 'big').bytes)
    for (let sent = 0; sent < TOTAL / 2; sent += MIB) await client.peer.sendAll(Buffer.alloc(MIB))
    const { status, text, headers } = await client.exchange('POST')
    assert.deepEqual([status, text, headers.get('Connection')], [413, 'big', 'close'])
    await client.peer.untilEnded()
    assert.equal(client.peer.errorCode, '')
    await origin.untilEnded()
  })
})

describe('a client that asks on and on', () => {
  test('waits when the answer to its first request does', async (t) => {
    const { world, proxy, upstream } = await testProxy(t)
    const { peer: client } = await proxy.client()
    const all = GET.repeat(100_000)
    client.send(all)
    const origin = await upstream.next()
    await origin.request()
    await world.idle()
    const accepted = proxyEnd(world, client)
    assert.ok(accepted.bytesRead <= MAX_HELD, `${accepted.bytesRead} bytes were read`)
    assert.equal(world.counters.get('requests'), 1)
    // Who does not read sees nobody leave.
    await proxy.stop('immediate')
    await origin.untilEnded()
  })

  test('and takes no answers waits for itself', async (t) => {
    const body = 'x'.repeat(60_000)
    const { world, proxy } = await testProxy(t, {
      hooks: {
        requestFilter: (session) => {
          session.respond(200, { body })
          return 'responded'
        },
      },
    })
    const { peer: client } = await proxy.client()
    client.keepsBytes = false
    client.pause()
    const count = 300
    client.send(GET.repeat(count))
    await world.idle()
    const { pendingBytes } = proxyEnd(world, client)
    assert.ok(pendingBytes > 0, 'the client holds the proxy up')
    assert.ok(pendingBytes <= MAX_HELD, `${pendingBytes} bytes are held`)
    assert.ok(world.counters.get('requests') < count / 10)
    client.resume()
    await client.until(() => client.bytes > count * body.length, 'all answers')
    assert.equal(proxy.sessions.length, count)
  })
})

/** The proxy's end of a connection, of which `peer` is the other one. */
function proxyEnd(world: TestWorld, { connection }: TestPeer): MemoryConnection {
  const { localAddress, peerAddress } = connection.digest
  const end = [...world.network.open].find(
    ({ digest }) => digest.localAddress === peerAddress && digest.peerAddress === localAddress,
  )
  assert.ok(end)
  return end
}

/**
 * Sends a body to a reader that sleeps until all stands still, and checks what it gets.
 * @param toReader the proxy's end of the connection to `to`.
 */
async function transfers(
  world: TestWorld,
  from: TestPeer,
  to: TestPeer,
  toReader: MemoryConnection,
  pieceBytes: number,
): Promise<void> {
  to.keepsBytes = false
  to.pause()
  const before = to.bytes
  const [sent, got] = [createHash('sha1'), createHash('sha1')]
  to.onBytes = (piece) => void got.update(piece)
  let taken = 0
  const sending = (async () => {
    while (taken < TOTAL) {
      const piece = Buffer.alloc(Math.min(TOTAL - taken, pieceBytes), `${taken} `)
      sent.update(piece)
      await from.sendAll(piece, 1_000)
      taken += piece.length
    }
  })()
  await world.idle()
  assert.ok(toReader.pendingBytes > 0, 'the slow reader holds the proxy up')
  assert.ok(toReader.pendingBytes <= MAX_HELD, `${toReader.pendingBytes} bytes are held`)
  assert.ok(taken <= MAX_HELD + 2 * NETWORK_HOLDS, `${taken} bytes were taken from the sender`)
  to.resume()
  await sending
  await to.until(() => to.bytes === before + TOTAL, 'the whole body')
  to.onBytes = null
  assert.equal(got.digest('hex'), sent.digest('hex'))
}
