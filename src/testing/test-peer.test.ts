import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseSocketAddress } from '../transport/index.js'
import type { Connection } from '../transport/index.js'
import { TestPeer } from './test-peer.js'
import type { TestPeerOptions } from './test-peer.js'
import { TestWorld } from './world.js'

const ADDRESS = '10.0.0.1:80'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

interface Pair {
  readonly world: TestWorld
  readonly client: TestPeer
  readonly server: TestPeer
}

/** Two peers that talk to each other. */
async function pair(t: TestContext, options: TestPeerOptions = {}): Promise<Pair> {
  const world = new TestWorld()
  t.after(() => world.close())
  const accepted: Connection[] = []
  const address = parseSocketAddress(ADDRESS)
  await world.network.listen(address, {}, (connection) => void accepted.push(connection))
  const dialled = await world.run(world.network.dial(address, {}))
  const client = new TestPeer(world, dialled, options)
  return { world, client, server: new TestPeer(world, accepted[0]!) }
}

describe('TestPeer', () => {
  test('sends text and bytes, and keeps what comes, byte for byte', async (t) => {
    const { world, client, server } = await pair(t)
    const bytes = Buffer.from([0, 255])
    client.send('a\xff')
    client.send(bytes)
    bytes.fill(1)
    await server.until(() => server.bytes === 4, 'four bytes')
    assert.deepEqual(server.received, Buffer.from([0x61, 255, 0, 255]))
    assert.deepEqual([server.text, server.rest, server.pieces], ['a\xff\0\xff', 'a\xff\0\xff', 2])
    server.send('b')
    await world.idle()
    assert.equal(client.text, 'b')
  })

  test('reads whole messages one by one, and leaves the rest', async (t) => {
    const { client, server } = await pair(t)
    client.send('PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\n\r\nGET')
    const first = await server.request()
    assert.deepEqual([first.method, first.text], ['PUT', 'hi'])
    assert.equal((await server.request()).target, '/2')
    assert.deepEqual([server.rest, server.restBytes], ['GET', 3])
    server.send(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`)
    assert.equal((await client.response()).status, 103)
    assert.equal((await client.response()).text, 'ok')
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n')
    assert.equal((await client.response('HEAD')).headers.get('content-length'), '9')
    assert.equal(client.rest, '')
  })

  test('reads a response that the end makes whole', async (t) => {
    const { client, server } = await pair(t)
    server.end('HTTP/1.1 200 OK\r\n\r\nall of it')
    assert.equal((await client.response()).text, 'all of it')
    assert.deepEqual([client.ended, client.closed, client.state], [true, false, 'ended'])
  })

  test('says why there is no whole message, and what came in its place', async (t) => {
    const { client, server } = await pair(t)
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok')
    await assert.rejects(client.response(), (error: Error) => {
      assert.match(error.message, /^waited in vain for a whole response: /)
      assert.match(error.message, /from 10\.0\.0\.1:80 to .*: 40 bytes came; the last: "HTTP/)
      return true
    })
    server.end()
    await assert.rejects(client.response(), /whole response: ended in the body\n/)
    assert.equal(client.nextMessage('GET')?.text, 'ok')
    client.send('no request\r\n\r\n')
    await assert.rejects(server.request(), /whole request: malformed: start line "no request"\n/)
  })

  test('says that the connection broke before the message began', async (t) => {
    const { client, server } = await pair(t)
    server.reset()
    await assert.rejects(client.response(), /whole response: broken before its first byte\n.*RESET/)
  })

  test('knows how a connection ends', async (t) => {
    const { client, server } = await pair(t)
    client.end('bye')
    await server.untilEnded()
    assert.deepEqual([server.text, server.closed, server.state], ['bye', false, 'ended'])
    server.send('still heard')
    await client.untilText('still heard')
    server.end()
    await client.untilClosed()
    await server.untilClosed()
    assert.deepEqual([client.errorCode, server.errorCode], ['', ''])
  })

  test('knows a reset by its code', async (t) => {
    const { client, server } = await pair(t)
    client.reset()
    await server.untilClosed()
    assert.deepEqual(
      [server.ended, server.errorCode, server.state],
      [false, 'ECONNRESET', 'broken'],
    )
    server.send('into the void')
    server.end('again')
    await server.sendAll('and again')
  })

  test('destroys both directions', async (t) => {
    const { client, server } = await pair(t)
    client.destroy()
    await server.untilEnded()
    await client.untilClosed()
    assert.equal(server.errorCode, '')
  })

  test('holds the sender up while it does not read', async (t) => {
    const { world, client, server } = await pair(t)
    server.pause()
    const body = Buffer.alloc(300_000, 'x')
    const sent = client.sendAll(body, 1_000)
    await world.idle()
    assert.deepEqual([server.bytes, client.connection.pendingBytes > 0], [0, true])
    await assert.rejects(client.sendAll('x'), /in vain for the network to take what was sent/)
    server.resume()
    await sent
    await server.until(() => server.bytes === body.length + 1, 'all of it')
    assert.equal(world.clock.nowMs(), 0)
  })

  test('counts what it does not keep, and lends it to who asks', async (t) => {
    const { client, server } = await pair(t)
    server.keepsBytes = false
    let seen = ''
    server.onBytes = (piece) => {
      seen += piece.toString('latin1')
    }
    client.send('abc')
    await server.until(() => server.bytes === 3)
    assert.deepEqual([seen, server.text, server.received.length], ['abc', '', 0])
  })

  test('finds a text that comes in pieces', async (t) => {
    const { client, server } = await pair(t)
    const found = server.untilText('needle', 100)
    for (const piece of ['hay nee', 'd', 'le hay']) {
      client.send(piece)
      await server.until(() => server.text.endsWith(piece))
    }
    await found
  })

  test('ends the test, not the process, when more comes than it may keep', async (t) => {
    const { world, client, server } = await pair(t, {
      allowance: { maxKeptBytes: 10, keptBytes: 0 },
    })
    server.send('0123456789')
    await client.untilText('9')
    server.send('A')
    const said = /more than maxKeptBytes \(10\) came to 10\.255\.0\.1:\d+: raise it/
    await assert.rejects(client.untilText('A'), said)
    await assert.rejects(world.idle(), said)
  })

  test('lets virtual time pass for no longer than it is told', async (t) => {
    const { world, client, server } = await pair(t)
    world.clock.schedule(30, () => {
      server.send('late')
    })
    await assert.rejects(client.untilText('late', 29), /in vain for "late"/)
    await client.untilText('late', 1)
    assert.equal(world.clock.nowMs(), 30)
  })

  test('takes no connection of another network', (t) => {
    const world = new TestWorld()
    t.after(() => world.close())
    assert.throws(() => new TestPeer(world, {} as Connection), { code: 'PGR_OPTION_INVALID' })
  })
})
