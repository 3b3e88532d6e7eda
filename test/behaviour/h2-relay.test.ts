import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { TestProxy, TestRequest, TestWorld } from '../../src/testing/index.js'
import type { ProxyHttp } from '../../src/proxy/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import { H2Upstream } from '../helpers/h2-upstream.js'
import { testProxy } from '../helpers/test-world.js'

const ORIGIN = '10.0.0.3:80'
const MIB = 1024 * 1024
/** Many times what the network, the proxy and the window of a stream may hold together. */
const TOTAL = 8 * MIB

/** A proxy in front of an HTTP/2 upstream with one answer. */
async function setup(
  t: TestContext,
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  hooks: Partial<ProxyHttp<unknown>> = {},
): Promise<{ world: TestWorld; proxy: TestProxy; upstream: H2Upstream }> {
  const upstreamPeer = (): HttpPeer => new HttpPeer(ORIGIN, { protocol: 'h2c', maxH2Streams: 100 })
  const { world, proxy } = await testProxy(t, { hooks: { upstreamPeer, ...hooks } })
  const upstream = new H2Upstream(world.network, ORIGIN, answer)
  world.atClose(() => upstream.close())
  return { world, proxy, upstream }
}

function ok(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200 })
  stream.end('ok')
}

/** Answers with what came: the body and, as trailers, its trailers. */
function echo(stream: ServerHttp2Stream): void {
  let trailers: IncomingHttpHeaders = {}
  stream.on('trailers', (came) => (trailers = came))
  stream.respond({ ':status': 200 }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ ...trailers })
  })
  stream.pipe(stream)
}

describe('the fields of a request to HTTP/2', () => {
  test('begin with what the request line and Host say, and leave out what ends here', async (t) => {
    const { proxy, upstream } = await setup(t, ok)
    const headers: [string, string][] = [
      ['Host', 'b.example:81'],
      ['X-A', '1'],
      ['Connection', 'keep-alive, X-Gone'],
      ['X-Gone', '1'],
      ['Keep-Alive', 'timeout=5'],
      ['Proxy-Connection', 'keep-alive'],
      ['TE', 'gzip'],
      ['x-a', '2'],
      ['Cookie', 'a=1'],
      ['Cookie', 'b=2'],
      ['X-Blank', '\u00e9 v'],
    ]
    assert.equal((await proxy.get('/p?q=1', { headers })).text, 'ok')
    assert.deepEqual(upstream.requests[0]?.raw, [
      ...[':method', 'GET', ':path', '/p?q=1', ':scheme', 'http', ':authority', 'b.example:81'],
      ...['x-a', '1', 'x-a', '2', 'cookie', 'a=1', 'cookie', 'b=2', 'x-blank', '\u00e9 v'],
    ])
  })

  test('say what hooks set, without the blanks that would have it dropped', async (t) => {
    const { proxy, upstream } = await setup(t, ok, {
      upstreamRequestFilter: (_session, request) => {
        request.insertHeader('Host', 'set.example')
        request.insertHeader('X-Set', ' blank ')
        request.insertHeader('TE', 'trailers')
      },
    })
    await proxy.get('/')
    const { headers } = upstream.requests[0]!
    assert.deepEqual(
      [headers[':authority'], headers['x-set'], headers.te],
      ['set.example', 'blank', 'trailers'],
    )
  })

  for (const [te, expected] of [
    ['trailers', 'trailers'],
    ['gzip;q=0.5, trailers', 'trailers'],
    ['gzip', undefined],
  ] as const) {
    test(`have ${String(expected)} as TE when the client says ${te}`, async (t) => {
      const { proxy, upstream } = await setup(t, ok)
      await proxy.get('/', { headers: { TE: te, Connection: 'TE' } })
      assert.equal(upstream.requests[0]?.headers.te, expected)
    })
  }
})

describe('a response of HTTP/2', () => {
  test('comes with its status, fields and body', async (t) => {
    const { proxy } = await setup(t, (stream) => {
      stream.respond({ ':status': 404, 'x-a': ['1', '2'], 'set-cookie': ['a=1', 'b=2'] })
      stream.end('nothing')
    })
    const { status, reason, headers, text, failure } = await proxy.get('/')
    assert.deepEqual([status, reason, text, failure], [404, 'Not Found', 'nothing', ''])
    assert.deepEqual(
      headers.entries.filter(([name]) => name !== 'Date' && name !== 'date'),
      [
        ['x-a', '1'],
        ['x-a', '2'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['Transfer-Encoding', 'chunked'],
      ],
    )
  })

  const lengths: readonly [string, TestRequest, Record<string, unknown>, boolean][] = [
    ['HEAD with a length', { method: 'HEAD' }, { ':status': 200, 'content-length': '5' }, true],
    ['304 with a length', {}, { ':status': 304, 'content-length': '5' }, true],
    ['204', {}, { ':status': 204 }, true],
    ['200 without a body', {}, { ':status': 200 }, true],
    ['200 with a length of 0', {}, { ':status': 200, 'content-length': '0' }, true],
  ]
  for (const [name, request, head, endStream] of lengths) {
    test(`is complete without a body: ${name}`, async (t) => {
      const { proxy } = await setup(t, (stream) => {
        stream.respond(head as IncomingHttpHeaders, { endStream })
      })
      const client = await proxy.client()
      for (let n = 0; n < 2; n++) {
        const { status, text, failure, connectionOpen } = await client.request(request)
        assert.deepEqual([status, text, failure], [head[':status'], '', ''])
        assert.equal(connectionOpen, true)
      }
    })
  }

  test('comes after its interim responses', async (t) => {
    const { proxy } = await setup(t, (stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' })
      stream.additionalHeaders({ ':status': 102 })
      ok(stream)
    })
    const { interim, status, text } = await proxy.get('/')
    assert.deepEqual(
      interim.map((one) => [one.status, one.headers.get('link')]),
      [
        [103, '</a>'],
        [102, undefined],
      ],
    )
    assert.deepEqual([status, text], [200, 'ok'])
  })

  test('with trailers gives them to a client that takes them', async (t) => {
    const { proxy } = await setup(t, (stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'x-sum': '7' })
      })
      stream.end('ok')
    })
    const takes = await proxy.get('/', { headers: { TE: 'trailers', Connection: 'TE' } })
    assert.deepEqual([takes.text, takes.trailers.entries], ['ok', [['x-sum', '7']]])
    const plain = await proxy.get('/')
    assert.deepEqual([plain.text, plain.trailers.entries, plain.failure], ['ok', [], ''])
  })

  test('of trailers only comes whole', async (t) => {
    const { proxy } = await setup(t, (stream) => {
      stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true })
    })
    const { status, headers, text, failure } = await proxy.request({ method: 'POST', body: 'abc' })
    assert.deepEqual([status, headers.get('grpc-status'), text, failure], [200, '12', '', ''])
  })

  test('before the end of the request is passed on, and the rest is not read', async (t) => {
    const { proxy, upstream, world } = await setup(t, (stream) => {
      stream.respond({ ':status': 413 })
      stream.end('big')
    })
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\nabc`)
    const { status, text, headers } = await client.exchange('POST')
    assert.deepEqual([status, text, headers.get('Connection')], [413, 'big', 'close'])
    await client.peer.untilEnded()
    await world.until(() => upstream.open === 0, 'the stream to be over')
    assert.equal(upstream.openSessions, 1)
  })
})

describe('a request body to HTTP/2', () => {
  const bodies: readonly [string, TestRequest, string | undefined][] = [
    ['with a length', { method: 'POST', body: 'hello' }, '5'],
    ['in chunks', { method: 'POST', body: ['he', 'llo'] }, undefined],
    ['that waits for 100', { method: 'POST', body: 'hello', expectContinue: true }, '5'],
  ]
  for (const [name, request, length] of bodies) {
    test(`${name} comes whole`, async (t) => {
      const { proxy, upstream } = await setup(t, echo)
      const { status, text } = await proxy.request(request)
      assert.deepEqual([status, text], [200, 'hello'])
      assert.equal(upstream.requests[0]?.headers['content-length'], length)
    })
  }

  test('comes with its trailers', async (t) => {
    const { proxy } = await setup(t, echo)
    const headers = { TE: 'trailers', Connection: 'TE' }
    const request = { method: 'POST', body: ['abc'], trailers: { 'X-Sum': '3' }, headers }
    const { text, trailers } = await proxy.request(request)
    assert.deepEqual([text, trailers.entries], ['abc', [['x-sum', '3']]])
  })

  test('that a filter makes longer than its length is a 500, and no whole request', async (t) => {
    const { proxy, upstream, world } = await setup(t, echo, {
      requestBodyFilter: (_session, body) => (body ? Buffer.from('too long') : undefined),
    })
    const { error } = await proxy.request({ method: 'POST', body: 'abc' })
    assert.equal(error?.code, 'PGR_BODY_LENGTH_MISMATCH')
    await world.until(() => upstream.open === 0, 'the stream to be over')
  })
})

describe('a large body over HTTP/2', () => {
  test('comes down whole, and waits for a slow client', async (t) => {
    let written = 0
    const piece = Buffer.alloc(64 * 1024, 'x')
    const { world, proxy } = await setup(t, (stream) => {
      stream.respond({ ':status': 200 })
      const write = (): void => {
        while (written < TOTAL) {
          written += piece.length
          if (!stream.write(piece)) {
            stream.once('drain', write)
            return
          }
        }
        stream.end()
      }
      write()
    })
    const { peer: client } = await proxy.client()
    client.keepsBytes = false
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.pause()
    await world.advance(10_000)
    assert.ok(written < 3 * MIB, `held ${written}`)
    client.resume()
    await client.until(() => client.bytes > TOTAL, 'the whole answer')
    assert.equal(proxy.sessions[0]?.error, undefined)
    assert.equal(proxy.sessions[0]?.session.bodyBytesSent, TOTAL)
  })

  test('goes up whole, and waits for a slow upstream', async (t) => {
    let read = 0
    let origin: ServerHttp2Stream | null = null
    const { world, proxy } = await setup(t, (stream) => {
      origin = stream
      stream.on('data', (chunk: Buffer) => (read += chunk.length))
      stream.pause()
      stream.on('end', () => {
        ok(stream)
      })
    })
    const client = await proxy.client()
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${TOTAL}\r\n\r\n`)
    client.send(Buffer.alloc(TOTAL, 'y'))
    await world.advance(10_000)
    const taken = proxy.sessions[0]?.session.bodyBytesRead ?? 0
    assert.ok(taken > 0 && taken < 2 * MIB, `took ${taken}`)
    origin!.resume()
    const { text } = await client.exchange('POST')
    assert.deepEqual([text, read], ['ok', TOTAL])
  })

  test('does not hold up another request on the connection', async (t) => {
    const { world, proxy, upstream } = await setup(t, (stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(headers[':path'] === '/big' ? Buffer.alloc(TOTAL) : 'small')
    })
    const { peer: slow } = await proxy.client()
    slow.keepsBytes = false
    slow.send('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
    slow.pause()
    await world.advance(1_000)
    assert.equal((await proxy.get('/small')).text, 'small')
    assert.equal(upstream.sessions.length, 1)
    slow.reset()
  })
})
