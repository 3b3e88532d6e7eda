import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { otherSocketsTurn } from '../../helpers/connection-pair.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'
import type { RawPeer } from '../../helpers/raw-peer.js'
import { settle } from '../../helpers/settle.js'
import type { Session } from '../../../src/proxy/index.js'
import type { Connection } from '../../../src/transport/index.js'

const MIB = 1024 * 1024
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
/** More than what the kernel holds between two sockets on each of two hops. */
const TOTAL = 48 * MIB
/** What the proxy may hold per direction, whatever the size of the body: a few reads. */
const MAX_HELD = 256 * 1024

describe('a body that is larger than memory should hold', () => {
  for (const pieceBytes of [3_000, 256 * 1024]) {
    test(`comes down whole in writes of ${pieceBytes} bytes, and waits for a slow client`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(GET)
      const origin = await proxy.upstream.next()
      await origin.request()
      origin.send(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL}\r\n\r\n`)
      const head = await client
        .until(() => client.text.endsWith('\r\n\r\n'))
        .then(() => client.bytes)
      const toProxy = proxy.network.accepted[0]!
      await transfers({ from: origin, to: client, toProxy, pieceBytes, head })
      await proxy.untilLogged(1)
      assert.equal(proxy.logged[0]?.error, undefined)
      assert.equal(proxy.logged[0]?.session.bodyBytesSent, TOTAL)
    })

    test(`goes up whole in writes of ${pieceBytes} bytes, and waits for a slow upstream`, async (t) => {
      const proxy = await ProxyUnderTest.start(t)
      const client = await proxy.client()
      client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
      const origin = await proxy.upstream.next()
      const head = await origin
        .until(() => origin.text.endsWith('\r\n\r\n'))
        .then(() => origin.bytes)
      const toProxy = proxy.network.dialled[0]!
      await transfers({ from: client, to: origin, toProxy, pieceBytes, head })
      origin.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      await proxy.untilLogged(1)
      assert.equal(proxy.logged[0]?.session.bodyBytesRead, TOTAL)
    })
  }

  test('a client that leaves after a stalled upload is heard, and the upstream too', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
    const origin = await proxy.upstream.next()
    const head = await origin.until(() => origin.text.endsWith('\r\n\r\n')).then(() => origin.bytes)
    const toProxy = proxy.network.dialled[0]!
    await transfers({ from: client, to: origin, toProxy, pieceBytes: 256 * 1024, head })
    client.end()
    await origin.untilEnded()
    await proxy.untilLogged(1)
    assert.equal(proxy.logged[0]?.error?.code, 'PGR_DOWNSTREAM_CLOSED')
  })

  test('is taken for an early answer whose client uploads on', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
    for (let sent = 0; sent < 8 * MIB; sent += MIB) await client.sendAll(Buffer.alloc(MIB))
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.body], [413, 'big'])
    assert.equal(answer.head.includes('Connection: close\r\n'), true)
    await client.untilEnded()
    assert.equal(client.errorCode, '')
    await origin.untilEnded()
  })
})

describe('a client that asks on and on', () => {
  test('waits when the answer to its first request does', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send(Buffer.from(GET.repeat(300_000)))
    const origin = await proxy.upstream.next()
    await origin.request()
    const accepted = proxy.network.accepted[0]!
    await standsStill(client, accepted)
    assert.ok(accepted.bytesRead <= MAX_HELD, `${accepted.bytesRead} bytes were read`)
    assert.equal(proxy.counters.get('requests'), 1)
    // Who does not read sees nobody leave.
    proxy.service.destroy()
    await origin.untilEnded()
  })

  test('and takes no answers waits for itself', async (t) => {
    const body = 'x'.repeat(60_000)
    const requestFilter = (session: Session): 'responded' => {
      session.respond(200, { body })
      return 'responded'
    }
    const proxy = await ProxyUnderTest.start(t, { hooks: { requestFilter } })
    const client = await proxy.client()
    client.keepsBytes = false
    client.socket.pause()
    const count = 1_500
    client.send(GET.repeat(count))
    const accepted = proxy.network.accepted[0]!
    await proxy.until(() => accepted.pendingBytes > 0, 'the client to hold the proxy up')
    await otherSocketsTurn(t)
    assert.ok(accepted.pendingBytes <= MAX_HELD, `${accepted.pendingBytes} bytes are held`)
    assert.ok(proxy.counters.get('requests') < count)
    client.socket.resume()
    await client.until(() => client.bytes > count * body.length, 'all answers')
    assert.equal(proxy.logged.length, count)
  })
})

interface Transfer {
  readonly from: RawPeer
  readonly to: RawPeer
  /** The proxy's end of the connection to `to`. */
  readonly toProxy: Connection
  readonly pieceBytes: number
  /** Bytes of the head that `to` got before. */
  readonly head: number
}

/** Sends a body to a reader that sleeps until all stands still, and checks what it gets. */
async function transfers({ from, to, toProxy, pieceBytes, head }: Transfer): Promise<void> {
  to.keepsBytes = false
  to.socket.pause()
  const [sent, got] = [createHash('sha1'), createHash('sha1')]
  const onData = (chunk: Buffer): void => void got.update(chunk)
  to.socket.on('data', onData)
  to.socket.pause()
  const seed = randomBytes(pieceBytes)
  const sending = (async () => {
    for (let left = TOTAL; left > 0;) {
      seed.writeUInt32LE(left)
      const piece = Buffer.from(seed.subarray(0, Math.min(left, pieceBytes)))
      left -= piece.length
      sent.update(piece)
      await from.sendAll(piece)
      // Each piece in a read of its own, as far as the kernel goes along.
      if (pieceBytes < 4_096 && left % 8 === 0) await settle()
    }
  })()
  await standsStill(from, toProxy)
  assert.ok(toProxy.pendingBytes > 0, 'the slow reader holds the proxy up')
  assert.ok(toProxy.pendingBytes <= MAX_HELD, `${toProxy.pendingBytes} bytes are held`)
  to.socket.resume()
  await sending
  await to.until(() => to.bytes === head + TOTAL, 'the whole body')
  to.socket.off('data', onData)
  assert.equal(got.digest('hex'), sent.digest('hex'))
}

/** Resolves when nothing has moved for a good many turns of the event loop. */
async function standsStill(from: RawPeer, toProxy: Connection): Promise<void> {
  let seen = -1
  for (let still = 0; still < 200; still++) {
    const moved = from.socket.bytesWritten + toProxy.bytesWritten
    const goesOn = moved !== seen || !from.socket.writableNeedDrain
    // All taken without a stop: the caller sees by the bytes held that nobody waited.
    if (goesOn && from.socket.bytesWritten < TOTAL) still = 0
    seen = moved
    await settle()
  }
}
