/** The whole proxy between clients and upstreams of both versions, each in the four combinations. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as requestHttp1 } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, constants, createServer as createHttp2Server } from 'node:http2'
import type {
  ClientHttp2Session,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy } from '../helpers/start-proxy.js'

type Version = 'http1' | 'h2c'
/** What answers have in both versions; `stream` only in HTTP/2. */
type Sent = ServerResponse & { readonly stream?: ServerHttp2Stream }
type Handler = (sent: IncomingMessage, answer: Sent) => void

const MIB = 1024 * 1024
const BIG = Buffer.alloc(4 * MIB, 'b')

for (const client of ['http1', 'h2c'] as const) {
  for (const upstream of ['http1', 'h2c'] as const) {
    describe(`${client} to ${upstream}`, { timeout: 60_000 }, () => {
      testConversion(client, upstream)
    })
  }
}

function testConversion(client: Version, upstream: Version): void {
  test('bodies go up and down whole, with their trailers', async (t) => {
    const { ask } = await start(t, client, upstream)
    for (const body of [Buffer.from('abc'), BIG]) {
      const answer = await ask('/echo', { method: 'POST', body, trailers: { 'x-up': 'u' } })
      assert.deepEqual([answer.status, answer.failure], [200, ''])
      assert.ok(answer.body.equals(body))
      assert.deepEqual(answer.trailers, { 'x-sum': String(body.length), 'x-up': 'u' })
    }
  })

  test('HEAD, an empty answer and interim responses keep their meaning', async (t) => {
    const { ask } = await start(t, client, upstream)
    const head = await ask('/length', { method: 'HEAD' })
    assert.deepEqual([head.status, head.length, head.body.length, head.failure], [200, '7', 0, ''])
    const empty = await ask('/empty')
    assert.deepEqual([empty.status, empty.body.length, empty.failure], [204, 0, ''])
    const hinted = await ask('/hints')
    assert.deepEqual([hinted.interim, hinted.status, hinted.failure], [[103], 200, ''])
  })

  test('a slow client gets all of a large answer, of a known length and without', async (t) => {
    const { ask } = await start(t, client, upstream)
    for (const path of ['/big', '/big-chunks']) {
      const { status, body, failure } = await ask(path, { isSlow: true })
      assert.deepEqual([status, failure, body.length], [200, '', BIG.length])
    }
  })

  test('an answer before the end of the request comes through', async (t) => {
    const { ask } = await start(t, client, upstream)
    const { status, body } = await ask('/early', {
      method: 'POST',
      body: Buffer.alloc(1_000),
      isOpen: true,
    })
    assert.deepEqual([status, String(body)], [413, 'big'])
  })

  test('an answer that the upstream cuts is no whole one', async (t) => {
    const { ask } = await start(t, client, upstream)
    const { status, body, failure } = await ask('/cut')
    assert.deepEqual([status, String(body)], [200, 'part'])
    assert.notEqual(failure, '')
  })

  test('a client that leaves is told to the upstream', async (t) => {
    const { ask, left } = await start(t, client, upstream)
    await ask('/hang', { leaves: true })
    assert.equal(await left, '/hang')
  })

  test('1000 requests, 100 at once, all succeed', async (t) => {
    const { ask } = await start(t, client, upstream)
    const statuses = new Map<number, number>()
    const worker = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) {
        const { status, body } = await ask('/length')
        assert.equal(String(body), '7 bytes')
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 100 }, worker))
    assert.deepEqual([...statuses], [[200, 1_000]])
  })
}

/** What a client asks besides the path. */
interface Ask {
  readonly method?: string
  readonly body?: Buffer
  readonly trailers?: Record<string, string>
  /** Reads in small steps, with waits in between. */
  readonly isSlow?: boolean
  /** Does not end its request. */
  readonly isOpen?: boolean
  /** Leaves when the head of the answer is there. */
  readonly leaves?: boolean
}

/** What a client got; `failure` is empty when it was whole. */
interface Answer {
  status: number
  length: string | undefined
  interim: number[]
  body: Buffer
  trailers: Record<string, string>
  failure: string
}

interface Started {
  ask(path: string, ask?: Ask): Promise<Answer>
  /** The first path whose client has left. */
  readonly left: Promise<string>
}

async function start(t: TestContext, client: Version, upstream: Version): Promise<Started> {
  let onLeft = (_path: string): void => undefined
  const left = new Promise<string>((resolve) => (onLeft = resolve))
  const backend = await startBackend(t, upstream, (sent, answer) => {
    serve(sent, answer, onLeft)
  })
  const port = (backend.address() as AddressInfo).port
  const peer = { protocol: upstream, maxH2Streams: 100 }
  const proxy = await startProxy(port, { peer, listener: { h2c: true } })
  t.after(() => {
    proxy.destroy()
  })
  if (client === 'http1') return { ask: (path, ask = {}) => askHttp1(proxy, path, ask), left }
  const session = connect(`http://127.0.0.1:${proxy.port}`)
  session.on('error', () => undefined)
  t.after(() => {
    session.destroy()
  })
  return { ask: (path, ask = {}) => askHttp2(session, path, ask), left }
}

async function startBackend(t: TestContext, version: Version, handler: Handler): Promise<Server> {
  const sockets = new Set<{ destroy(): void }>()
  // Node's compatibility layer has the calls of HTTP/1, but not its types.
  const handleH2 = handler as unknown as (
    sent: Http2ServerRequest,
    got: Http2ServerResponse,
  ) => void
  const server: Server = version === 'http1' ? createServer(handler) : createHttp2Server(handleH2)
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server
}

function serve(sent: IncomingMessage, answer: Sent, onLeft: (path: string) => void): void {
  const path = sent.url ?? ''
  answer.on('error', () => undefined)
  sent.on('error', () => undefined)
  switch (path) {
    case '/echo': {
      let sum = 0
      answer.setHeader('Trailer', 'x-sum, x-up')
      sent.on('data', (chunk: Buffer) => {
        sum += chunk.length
        if (answer.write(chunk)) return
        sent.pause()
        answer.once('drain', () => sent.resume())
      })
      sent.on('end', () => {
        answer.addTrailers({ 'x-sum': String(sum), 'x-up': String(sent.trailers['x-up']) })
        answer.end()
      })
      return
    }
    case '/length':
      answer.setHeader('Content-Length', '7')
      answer.end('7 bytes')
      return
    case '/empty':
      answer.writeHead(204)
      answer.end()
      return
    case '/hints':
      answer.writeEarlyHints({ link: '</a>; rel=preload' })
      answer.end('ok')
      return
    case '/big':
      answer.setHeader('Content-Length', BIG.length)
      answer.end(BIG)
      return
    case '/big-chunks':
      answer.end(BIG)
      return
    case '/early':
      answer.writeHead(413)
      answer.end('big')
      return
    case '/cut':
      answer.writeHead(200)
      answer.write('part')
      setImmediate(() => {
        if (answer.stream !== undefined) answer.stream.destroy(new Error('cut'))
        else answer.socket?.destroy()
      })
      return
    default:
      answer.writeHead(200)
      answer.write('x')
      answer.on('close', () => {
        onLeft(path)
      })
  }
}

function askHttp1(proxy: RunningProxy, path: string, ask: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const answer = emptyAnswer()
    const headers = {
      TE: 'trailers',
      Connection: 'TE, close',
      ...(ask.body !== undefined && { 'Transfer-Encoding': 'chunked' }),
    }
    const { method = 'GET' } = ask
    const sent = requestHttp1({
      port: proxy.port,
      host: '127.0.0.1',
      path,
      method,
      headers,
      agent: false,
    })
    sent.on('information', ({ statusCode }) => answer.interim.push(statusCode))
    sent.on('response', (came) => {
      answer.status = came.statusCode ?? 0
      answer.length = came.headers['content-length']
      if (ask.leaves === true) {
        sent.destroy()
        resolve(answer)
        return
      }
      collect(came, ask, answer)
      came.on('error', (error) => (answer.failure = error.message))
      came.on('close', () => {
        answer.trailers = came.trailers as Record<string, string>
        if (!came.complete) answer.failure ||= 'incomplete'
        sent.destroy()
        resolve(answer)
      })
    })
    sent.on('error', (error) => {
      if (answer.status === 0) reject(error)
    })
    if (ask.body !== undefined) sent.write(ask.body)
    if (ask.trailers !== undefined) sent.addTrailers(ask.trailers)
    if (ask.isOpen !== true) sent.end()
    else sent.flushHeaders()
  })
}

function askHttp2(session: ClientHttp2Session, path: string, ask: Ask): Promise<Answer> {
  return new Promise((resolve) => {
    const answer = emptyAnswer()
    const { method = 'GET', body, trailers } = ask
    const fields = { ':path': path, ':method': method, te: 'trailers' }
    const stream = session.request(fields, {
      endStream: body === undefined,
      waitForTrailers: trailers !== undefined,
    })
    stream.on('wantTrailers', () => {
      stream.sendTrailers(trailers ?? {})
    })
    stream.on('headers', (info: Record<string, number>) =>
      answer.interim.push(info[':status'] ?? 0),
    )
    stream.on('response', (head) => {
      answer.status = head[':status'] ?? 0
      answer.length = head['content-length']
      if (ask.leaves === true) stream.close(constants.NGHTTP2_CANCEL)
    })
    // As other clients do it: an end that is only a reset is none.
    let hasEnded = false
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null && !stream.closed) hasEnded = true
      return push(chunk, encoding)
    }
    stream.on('trailers', (came) => {
      hasEnded = true
      answer.trailers = Object.fromEntries(Object.entries(came).map(([k, v]) => [k, String(v)]))
    })
    stream.on('error', (error: Error) => (answer.failure = error.message))
    collect(stream, ask, answer)
    stream.on('end', () => {
      if (ask.isOpen === true) stream.close(constants.NGHTTP2_CANCEL)
    })
    stream.on('close', () => {
      if (!hasEnded) answer.failure ||= 'no END_STREAM'
      resolve(answer)
    })
    if (body !== undefined) stream.write(body)
    if (ask.isOpen !== true && body !== undefined) stream.end()
  })
}

function collect(source: NodeJS.ReadableStream, ask: Ask, answer: Answer): void {
  const chunks: Buffer[] = []
  source.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    answer.body = Buffer.concat(chunks.length > 64 ? chunks.splice(0) : chunks)
    if (chunks.length === 0) chunks.push(answer.body)
    if (ask.isSlow !== true) return
    source.pause()
    setImmediate(() => source.resume())
  })
}

function emptyAnswer(): Answer {
  const body = Buffer.alloc(0)
  return { status: 0, length: undefined, interim: [], body, trailers: {}, failure: '' }
}
