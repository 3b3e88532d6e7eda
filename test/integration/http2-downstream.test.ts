/** Clients that speak HTTP/2 to the whole proxy, in front of an HTTP/1 upstream. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { connect, constants } from 'node:http2'
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2'
import { connect as connectTcp, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { Session } from '../../src/proxy/index.js'
import type { NodeNetworkOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import { FrameClient } from '../helpers/frame-client.js'
import { freePort } from '../helpers/free-port.js'
import { GOAWAY, HEADERS, SETTINGS, WINDOW_UPDATE, settings, words } from '../helpers/h2-frames.js'
import { RawClient } from '../helpers/raw-client.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy, StartProxyOptions } from '../helpers/start-proxy.js'
import { startBackend } from '../process/backend.js'

const MIB = 1024 * 1024

for (const io of ['ring', 'handles', 'sockets'] as const) {
  describe(`HTTP/2 from clients, with ${io}`, { timeout: 60_000 }, () => {
    testExchanges(io)
    testProtocolChoice(io)
  })
}

describe('HTTP/2 from clients', { timeout: 60_000 }, () => {
  testFailures()
  testStop()
})

function testExchanges(io: NodeNetworkOptions['io']): void {
  test('many requests share one connection', async (t) => {
    const { proxy, session } = await start(t, (sent, answer) => answer.end(sent.url), { io })
    const paths = Array.from({ length: 300 }, (_, index) => `/${index}`)
    const answers = await Promise.all(paths.map((path) => ask(session, { ':path': path })))
    assert.deepEqual(
      answers.map(({ body }) => body),
      paths,
    )
    assert.equal(proxy.counters.get('downstreamConnectionsAccepted'), 1)
    assert.equal(proxy.counters.get('requests'), 300)
  })

  test('the head goes through both ways, and nothing of the connection', async (t) => {
    let raw: readonly string[] = []
    const { session } = await start(
      t,
      (sent, answer) => {
        raw = sent.rawHeaders
        answer.setHeader('X-Upper', 'a')
        answer.setHeader('Set-Cookie', ['a=1', 'b=2'])
        answer.setHeader('Keep-Alive', 'timeout=1')
        answer.writeHead(201, 'Made up')
        answer.end()
      },
      { io },
    )
    const { fields } = await ask(session, {
      ':authority': 'a.example:1',
      'x-a': ['1', '2'],
      cookie: ['x=1', 'y=2'],
      te: 'trailers',
    })
    const sent = Object.fromEntries(
      raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1]]] : [])),
    )
    assert.equal(sent.host, 'a.example:1')
    assert.equal(sent.cookie, 'x=1; y=2')
    assert.equal(sent['x-a'], '2')
    assert.equal(sent.te, undefined)
    assert.equal(fields[':status'], 201)
    assert.equal(fields['x-upper'], 'a')
    assert.deepEqual(fields['set-cookie'], ['a=1', 'b=2'])
    assert.equal(fields['keep-alive'], undefined)
    assert.equal(fields.connection, undefined)
    assert.match(String(fields.date), /GMT$/)
  })

  test('bodies of all sizes go through both ways', async (t) => {
    const { session } = await start(t, (sent, answer) => sent.pipe(answer), { io })
    for (const size of [0, 1, 1_000, 16_384, 65_536, 3 * MIB]) {
      const body = Buffer.alloc(size)
      for (let at = 0; at < size; at++) body[at] = (at * 31 + (at >> 8)) & 255
      const answer = await ask(session, { ':method': 'POST' }, body)
      assert.equal(answer.status, 200)
      assert.ok(answer.bytes.equals(body), `${size} bytes`)
    }
  })

  test('trailers go through both ways', async (t) => {
    const { session } = await start(
      t,
      (sent, answer) => {
        sent.resume()
        sent.on('end', () => {
          answer.writeHead(200, { Trailer: 'x-sum' })
          answer.write('body')
          answer.addTrailers({ 'X-Sum': `got ${sent.trailers['x-in'] ?? 'none'}` })
          answer.end()
        })
      },
      { io },
    )
    const stream = session.request({ ':method': 'POST', te: 'trailers' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => {
      stream.sendTrailers({ 'x-in': 'yes' })
    })
    stream.end('x')
    const trailers = once(stream, 'trailers') as Promise<[IncomingHttpHeaders]>
    const answer = await read(stream)
    assert.equal(answer.body, 'body')
    assert.equal((await trailers)[0]['x-sum'], 'got yes')
  })

  test('trailers before the end of the request arrive before the reset', async (t) => {
    const { session } = await start(
      t,
      (_sent, answer) => {
        answer.writeHead(200, { Trailer: 'x-sum' })
        answer.write('body')
        answer.addTrailers({ 'X-Sum': 'early' })
        answer.end()
      },
      { io },
    )
    const stream = session.request({ ':method': 'POST', te: 'trailers' }, { endStream: false })
    const trailers = once(stream, 'trailers') as Promise<[IncomingHttpHeaders]>
    assert.equal((await read(stream)).body, 'body')
    assert.equal((await trailers)[0]['x-sum'], 'early')
    assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
  })

  test('an empty answer within the read of a request arrives before the reset', async (t) => {
    const requestFilter = (asked: Session): 'responded' => {
      asked.respond(302, { headers: { Location: '/b' } })
      return 'responded'
    }
    const options = { io, hooks: { requestFilter } }
    const { session } = await start(t, (_sent, answer) => answer.end(), options)
    // So that the next request is all that is read.
    await ask(session)
    const stream = session.request({ ':method': 'POST' }, { endStream: false })
    const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    assert.equal(fields.location, '/b')
    if (!stream.closed) await once(stream, 'close')
    assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
  })

  test('interim responses go through', async (t) => {
    const { session } = await start(
      t,
      (_sent, answer) => {
        answer.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
          answer.end('late')
        })
      },
      { io },
    )
    const stream = session.request()
    const interim: IncomingHttpHeaders[] = []
    stream.on('headers', (fields) => interim.push(fields))
    const answer = await read(stream)
    assert.equal(answer.body, 'late')
    assert.deepEqual(
      interim.map((fields) => [fields[':status'], fields.link]),
      [[103, '</a.css>; rel=preload']],
    )
  })

  test('100 Continue reaches the client that waits for it', async (t) => {
    const { session } = await start(t, (sent, answer) => sent.pipe(answer), { io })
    const stream = session.request({ ':method': 'POST', expect: '100-continue' })
    stream.on('continue', () => stream.end('now'))
    assert.equal((await read(stream)).body, 'now')
  })

  test('answers without a body have none', async (t) => {
    const { session } = await start(
      t,
      (sent, answer) => {
        answer.statusCode = Number(sent.url?.slice(1))
        answer.setHeader('Content-Length', sent.method === 'HEAD' ? 5 : 0)
        answer.end()
      },
      { io },
    )
    const head = await ask(session, { ':method': 'HEAD', ':path': '/200' })
    assert.deepEqual([head.status, head.fields['content-length'], head.body], [200, '5', ''])
    for (const status of [204, 205, 304]) {
      const answer = await ask(session, { ':path': `/${status}` })
      assert.deepEqual([answer.status, answer.body], [status, ''])
    }
    const empty = await ask(session, { ':path': '/200' })
    assert.deepEqual([empty.status, empty.fields['content-length'], empty.body], [200, '0', ''])
  })

  test('a slow reader stops the upstream, and gets all of it', async (t) => {
    const total = 32 * MIB
    let written = 0
    const { session } = await start(
      t,
      (_sent, answer) => {
        const piece = Buffer.alloc(65_536, 'x')
        const write = (): void => {
          while (written < total) {
            written += piece.length
            if (!answer.write(piece)) {
              answer.once('drain', write)
              return
            }
          }
          answer.end()
        }
        write()
      },
      { io },
    )
    const stream = session.request()
    await once(stream, 'response')
    // Others still make their round trips meanwhile.
    for (let n = 0; n < 3; n++) await ping(session)
    assert.ok(written < total, `${written} bytes were taken from the upstream`)
    let got = 0
    for await (const chunk of stream) got += (chunk as Buffer).length
    assert.equal(got, total)
  })

  test('a slow upstream stops the client, and gets all of it', async (t) => {
    const total = 32 * MIB
    let resume = (): void => {}
    let got = 0
    const { session } = await start(
      t,
      (sent, answer) => {
        sent.pause()
        resume = () => sent.resume()
        sent.on('data', (chunk: Buffer) => (got += chunk.length))
        sent.pause()
        sent.on('end', () => answer.end('done'))
      },
      { io },
    )
    const stream = session.request({ ':method': 'POST' })
    const piece = Buffer.alloc(65_536, 'x')
    let written = 0
    let blocked = (): void => {}
    const isBlocked = new Promise<void>((resolve) => {
      blocked = resolve
    })
    const write = (): void => {
      while (written < total) {
        written += piece.length
        if (!stream.write(piece)) {
          stream.once('drain', write)
          if (written > MIB) blocked()
          return
        }
      }
      stream.end()
    }
    write()
    await isBlocked
    for (let n = 0; n < 3; n++) await ping(session)
    assert.ok(written < total, `${written} bytes were taken from the client`)
    resume()
    assert.equal((await read(stream)).body, 'done')
    assert.equal(got, total)
  })
}

function testProtocolChoice(io: NodeNetworkOptions['io']): void {
  test('HTTP/1 is spoken on the same port', async (t) => {
    const { port } = await start(t, (sent, answer) => answer.end(sent.url), { io })
    const client = await RawClient.connect(port)
    t.after(() => {
      client.destroy()
    })
    // The first two begin as the preface does.
    client.write('PR')
    client.write('OPFIND /a HTTP/1.1\r\nHost: a\r\n\r\n')
    client.write('GET /b HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('two answers', () => client.responses().length === 2)
    assert.deepEqual(
      client.responses().map(({ body }) => body),
      ['/a', '/b'],
    )
  })

  test('the preface is known however it is split', async (t) => {
    const { port } = await start(t, (sent, answer) => answer.end(sent.url), { io })
    for (const cuts of [[1], [3], [14], [18], [23], [24], [1, 2, 3, 4, 5, 20, 24, 30, 40]]) {
      const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
      await once(socket, 'connect')
      const proxyEnd = new CuttingSocket(cuts)
      const through = await proxyEnd.start(port)
      const session = connect(`http://127.0.0.1:${through}`)
      assert.equal((await ask(session, { ':path': '/x' })).body, '/x')
      session.destroy()
      proxyEnd.stop()
      socket.destroy()
    }
  })
}

function testFailures(): void {
  test('a refused body gets its whole answer, then an end that is no error', async (t) => {
    const { session } = await start(t, (_sent, answer) => {
      answer.writeHead(413, { 'Content-Length': 9, Connection: 'close' })
      answer.end('too large')
    })
    const stream = session.request({ ':method': 'POST' })
    stream.write(Buffer.alloc(1_000))
    const answer = await read(stream)
    assert.deepEqual([answer.status, answer.body], [413, 'too large'])
    if (!stream.closed) await once(stream, 'close')
    assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
    // The connection goes on.
    assert.equal((await ask(session)).status, 413)
  })

  for (const framing of ['chunked', 'a length'] as const) {
    test(`a body that the upstream cuts is a reset, with ${framing}`, async (t) => {
      const { session } = await start(t, (_sent, answer) => {
        if (framing === 'a length') answer.setHeader('Content-Length', 1_000)
        answer.write('x'.repeat(500))
        setImmediate(() => answer.socket?.destroy())
      })
      const stream = session.request()
      await assert.rejects(read(stream), /ERR_HTTP2_STREAM_ERROR|INTERNAL_ERROR/)
      assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
    })
  }

  test('what cannot be reached is a 502 of its stream alone', async (t) => {
    const proxy = await startProxy(await freePort(), { listener: { h2c: true } })
    const session = connect(`http://127.0.0.1:${proxy.port}`)
    t.after(() => {
      session.destroy()
      proxy.destroy()
    })
    for (let n = 0; n < 2; n++) assert.equal((await ask(session)).status, 502)
  })

  test('a client that breaks off takes the upstream with it, and its other streams stay', async (t) => {
    let gone = (): void => {}
    const isGone = new Promise<void>((resolve) => {
      gone = resolve
    })
    let asked = (): void => {}
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const { proxy, session } = await start(t, (sent, answer) => {
      if (sent.url === '/other') {
        answer.end('other')
        return
      }
      sent.on('close', gone)
      asked()
    })
    const stream = session.request({ ':path': '/slow' })
    stream.on('error', () => undefined)
    await isAsked
    stream.close(constants.NGHTTP2_CANCEL)
    await isGone
    assert.equal((await ask(session, { ':path': '/other' })).body, 'other')
    assert.equal(proxy.counters.errors('PGR_DOWNSTREAM_CLOSED'), 1)
  })

  test('a body that the client breaks off never looks complete to the upstream', async (t) => {
    let ended = false
    let closed = (): void => {}
    const isClosed = new Promise<void>((resolve) => {
      closed = resolve
    })
    let begun = (): void => {}
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    const { session } = await start(t, (sent) => {
      sent.on('error', () => undefined)
      sent.on('end', () => (ended = true))
      sent.on('data', begun)
      sent.on('close', closed)
    })
    const stream = session.request({ ':method': 'POST' })
    stream.on('error', () => undefined)
    stream.write('half')
    await hasBegun
    stream.destroy(new Error('changed my mind'))
    await isClosed
    assert.equal(ended, false)
  })

  test('a client whose connection is gone takes all its requests with it', async (t) => {
    const open = new Set<ServerResponse>()
    let change = (): void => {}
    const until = async (count: number): Promise<void> => {
      while (open.size !== count)
        await new Promise<void>((resolve) => {
          change = resolve
        })
    }
    const { proxy, session } = await start(t, (sent, answer) => {
      open.add(answer)
      change()
      sent.on('close', () => {
        open.delete(answer)
        change()
      })
    })
    session.on('error', () => undefined)
    for (let n = 0; n < 5; n++) session.request().on('error', () => undefined)
    await until(5)
    session.destroy()
    await until(0)
    assert.equal(proxy.counters.errors('PGR_DOWNSTREAM_CLOSED'), 5)
  })
}

function testStop(): void {
  for (const secured of [false, true]) {
    const how = secured ? ' over TLS' : ''
    test(`a stop serves what is in progress, and says what was the last${how}`, async (t) => {
      const waiting: ServerResponse[] = []
      let arrived = (): void => {}
      const leaf = secured ? await (await testCa()).issue({ names: ['127.0.0.1'] }) : null
      const { proxy } = await start(
        t,
        (_sent, answer) => {
          waiting.push(answer)
          arrived()
        },
        leaf === null ? {} : { listener: { tls: { certificates: [leaf] } } },
      )
      const isThere = async (count: number): Promise<void> => {
        while (waiting.length < count)
          await new Promise<void>((resolve) => {
            arrived = resolve
          })
      }
      const client = secured ? await overTls(proxy.port) : await FrameClient.connect(proxy.port)
      t.after(() => {
        client.destroy()
      })
      client.request(1)
      client.request(3)
      await isThere(2)
      const stopped = proxy.stop()
      await client.until('GOAWAY', () => client.find(GOAWAY) !== undefined)
      assert.equal(client.find(GOAWAY)?.payload.readUInt32BE(0), 3)
      // Sent by a client that has not heard of it yet: it may ask elsewhere.
      client.request(5)
      for (const answer of waiting) answer.end('served')
      await client.until('both answers', () => client.isEnded(1) && client.isEnded(3))
      await client.until('the end', () => client.ended)
      client.destroy()
      await stopped
      assert.deepEqual([String(client.body(1)), String(client.body(3))], ['served', 'served'])
      assert.equal(client.goawayCode, 0)
      assert.equal(waiting.length, 2)
    })

    test(`a connection without a request ends after its time${how}`, async (t) => {
      const leaf = secured ? await (await testCa()).issue({ names: ['127.0.0.1'] }) : null
      const { proxy } = await start(t, (_sent, answer) => answer.end('ok'), {
        timeouts: { headerMs: 100 },
        ...(leaf && { listener: { tls: { certificates: [leaf] } } }),
      })
      const client = secured ? await overTls(proxy.port) : await FrameClient.connect(proxy.port)
      await client.until('the end', () => client.ended)
      assert.equal(client.goawayCode, 0)
      client.destroy()
    })
  }

  test('a client that takes nothing is no danger to a stop', async (t) => {
    const { proxy } = await start(t, (_sent, answer) => answer.end(Buffer.alloc(32 * MIB)))
    const client = await FrameClient.connect(proxy.port, settings({ 4: 2 ** 31 - 1 }))
    client.send(WINDOW_UPDATE, 0, 0, words(2 ** 31 - 1 - 65_535))
    client.request(1)
    await client.until('the head', () => client.find(HEADERS, 1) !== undefined)
    client.pause()
    const stopped = proxy.stop()
    const other = await FrameClient.open(proxy.port).catch(() => null)
    other?.destroy()
    client.resume()
    await client.until('the end', () => client.ended)
    assert.equal(client.body(1).length, 32 * MIB)
    client.destroy()
    await stopped
  })

  test('a stop closes an idle connection, also one that does not answer', async (t) => {
    const { proxy } = await start(t, (_sent, answer) => answer.end('ok'))
    const client = await FrameClient.connect(proxy.port)
    const mute = await FrameClient.connect(proxy.port)
    t.after(() => {
      client.destroy()
      mute.destroy()
    })
    client.answersPings = true
    const stopped = proxy.stop()
    await client.until('the end', () => client.ended)
    await mute.until('the end', () => mute.ended)
    client.destroy()
    mute.destroy()
    await stopped
  })
}

interface Answer {
  readonly status: number
  readonly fields: IncomingHttpHeaders
  readonly body: string
  readonly bytes: Buffer
}

/** A proxy in front of a backend that answers with `listener`, and a client's session with it. */
async function start(
  t: TestContext,
  listener: RequestListener,
  options: StartProxyOptions = {},
): Promise<{ proxy: RunningProxy; port: number; session: ClientHttp2Session }> {
  const backend = await startBackend(t, listener)
  const proxy = await startProxy(Number(backend.address.split(':')[1]), {
    listener: { h2c: true },
    ...options,
  })
  const scheme = options.listener?.tls === undefined ? 'http' : 'https'
  const session = connect(`${scheme}://127.0.0.1:${proxy.port}`, { rejectUnauthorized: false })
  t.after(() => {
    session.destroy()
    proxy.destroy()
  })
  return { proxy, port: proxy.port, session }
}

/** A client of frames that has agreed on HTTP/2 over TLS. */
async function overTls(port: number): Promise<FrameClient> {
  const socket = connectTls({ port, ALPNProtocols: ['h2'], rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const client = new FrameClient(socket)
  client.begin()
  await client.until('the SETTINGS of the server', () => client.find(SETTINGS) !== undefined)
  return client
}

async function ask(
  session: ClientHttp2Session,
  fields: OutgoingHttpHeaders = {},
  body?: Buffer,
): Promise<Answer> {
  const stream = session.request(fields, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return read(stream)
}

async function read(stream: ClientHttp2Stream): Promise<Answer> {
  const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  return { status: Number(fields[':status']), fields, body: bytes.toString('latin1'), bytes }
}

function ping(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    session.ping(() => {
      resolve()
    })
  })
}

/** Passes bytes on in the pieces that the first of them are cut into, each by itself. */
class CuttingSocket {
  readonly #cuts: readonly number[]
  readonly #server = createServer()

  constructor(cuts: readonly number[]) {
    this.#cuts = cuts
  }

  async start(port: number): Promise<number> {
    this.#server.on('connection', (near) => {
      const far = connectTcp({ port, host: '127.0.0.1', noDelay: true })
      far.pipe(near)
      let at = 0
      let queue = Promise.resolve()
      near.on('data', (chunk) => {
        queue = queue.then(async () => {
          for (let from = 0; from < chunk.length;) {
            const cut = this.#cuts.find((each) => each > at) ?? Infinity
            const to = Math.min(chunk.length, from + cut - at)
            far.write(chunk.subarray(from, to))
            at += to - from
            from = to
            await new Promise((resolve) => setImmediate(resolve))
          }
        })
      })
      for (const socket of [near, far]) socket.on('error', () => undefined)
      near.on('close', () => far.destroy())
    })
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  stop(): void {
    this.#server.close()
  }
}
