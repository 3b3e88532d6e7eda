/** CONNECT to an upstream that speaks HTTP/2: its stream is the tunnel (RFC 9113 §8.5). */
import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { TestPeer } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import * as h2 from '../helpers/h2-frames.js'
import { H2Upstream } from '../helpers/h2-upstream.js'
import { frameClient } from '../helpers/memory-frame-client.js'
import { testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld, ProxySetup } from '../helpers/test-world.js'

const ORIGIN = '10.0.0.3:80'
const MIB = 1024 * 1024
const CONNECT = 'CONNECT example.com:443 HTTP/1.1\r\nHost: other\r\n\r\n'
const SETUP: ProxySetup = {
  options: { allowConnect: true },
  hooks: { upstreamPeer: () => new HttpPeer(ORIGIN, { protocol: 'h2c', maxH2Streams: 10 }) },
}

interface Asked extends ProxyInWorld {
  readonly client: TestPeer
  readonly upstream2: H2Upstream
  /** The CONNECT, as the upstream has it. */
  readonly stream: ServerHttp2Stream
}

function listen({ world }: ProxyInWorld): { streams: ServerHttp2Stream[]; upstream2: H2Upstream } {
  const streams: ServerHttp2Stream[] = []
  const upstream2 = new H2Upstream(world.network, ORIGIN, (stream) => streams.push(stream))
  world.atClose(() => upstream2.close())
  return { streams, upstream2 }
}

/** A client that has asked for a tunnel, with `early` bytes behind. */
async function ask(t: TestContext, early: string = ''): Promise<Asked> {
  const inWorld = await testProxy(t, SETUP)
  const { streams, upstream2 } = listen(inWorld)
  const { peer: client } = await inWorld.proxy.client()
  client.send(`${CONNECT}${early}`)
  await inWorld.world.until(() => streams.length > 0, 'the request', 1_000)
  return { ...inWorld, client, upstream2, stream: streams[0]! }
}

async function opened(t: TestContext, early?: string): Promise<Asked> {
  const asked = await ask(t, early)
  asked.stream.respond({ ':status': 200 })
  assert.equal((await asked.client.response('CONNECT')).status, 200)
  return asked
}

/** All that has come on `stream`. */
function collect(stream: ServerHttp2Stream): { text: string; ended: boolean } {
  const got = { text: '', ended: false }
  stream.on('data', (chunk: Buffer) => {
    got.text += chunk.toString('latin1')
  })
  stream.on('end', () => {
    got.ended = true
  })
  return got
}

describe('CONNECT to an HTTP/2 upstream', () => {
  test('has its authority alone, and a 2xx makes the stream a tunnel', async (t) => {
    const { world, client, upstream2, stream } = await ask(t, 'early')
    const { raw } = upstream2.requests[0]!
    assert.deepEqual(
      raw.filter((_text, at) => at % 2 === 0),
      [':method', ':authority'],
    )
    assert.equal(raw[3], 'example.com:443')
    const got = collect(stream)
    await world.advance(1_000)
    assert.equal(got.text, '')
    stream.respond({ ':status': 200 })
    assert.equal((await client.response('CONNECT')).status, 200)
    await world.until(() => got.text === 'early', 'the early bytes', 1_000)
    stream.write('down')
    await client.untilText('down')
    client.end('up')
    await world.until(() => got.ended, 'the end of the client', 1_000)
    assert.equal(got.text, 'earlyup')
    stream.end('last')
    await client.untilText('last')
    await client.untilClosed()
    assert.equal(stream.rstCode, 0)
    assert.equal(upstream2.openSessions, 1)
    assert.equal(world.counters.get('tunnelsOpen'), 0)
  })

  test('carries much in both directions whole', async (t) => {
    const { world, client, stream } = await opened(t)
    const got = collect(stream)
    client.send(Buffer.alloc(4 * MIB, 'u'))
    stream.write(Buffer.alloc(4 * MIB, 'd'))
    await world.until(() => got.text.length === 4 * MIB, 'all that went up', 10_000)
    await world.until(() => client.restBytes >= 4 * MIB, 'all that went down', 10_000)
    stream.end()
    client.end()
    await client.untilClosed()
  })

  test('that is refused gives its answer and closes', async (t) => {
    const { world, client, stream, upstream2 } = await ask(t)
    stream.respond({ ':status': 403 })
    stream.end('no')
    const answer = await client.response('CONNECT')
    assert.deepEqual([answer.status, answer.text], [403, 'no'])
    await client.untilEnded()
    await world.until(() => upstream2.open === 0, 'the stream to be over', 1_000)
    assert.equal(upstream2.openSessions, 1)
  })

  test('is reset on the other side when the upstream breaks it', async (t) => {
    const { client, stream } = await opened(t)
    stream.destroy(new Error('broken'))
    await client.untilClosed()
    assert.equal(client.errorCode, 'ECONNRESET')
  })

  test('is cancelled when the client leaves, and its connection goes on', async (t) => {
    const { world, client, stream, upstream2 } = await opened(t)
    client.reset()
    await world.until(() => stream.closed, 'the reset', 1_000)
    assert.notEqual(stream.rstCode, 0)
    assert.equal(upstream2.openSessions, 1)
  })

  test('comes from HTTP/2 as well', async (t) => {
    const inWorld = await frameClient(t, SETUP)
    const { world, client } = inWorld
    const { streams } = listen(inWorld)
    const fields = [
      [':method', 'CONNECT'],
      [':authority', 'example.com:443'],
    ] as const
    client.request(1, fields, 0)
    await world.until(() => streams.length > 0, 'the request', 1_000)
    const [stream] = streams
    const got = collect(stream!)
    stream!.respond({ ':status': 200 })
    client.send(h2.DATA, h2.END_STREAM, 1, Buffer.from('up'))
    await world.until(() => got.ended, 'the end of the client', 1_000)
    stream!.end('down')
    await world.until(() => client.isEnded(1), 'the end', 1_000)
    assert.deepEqual([got.text, String(client.body(1))], ['up', 'down'])
  })
})
