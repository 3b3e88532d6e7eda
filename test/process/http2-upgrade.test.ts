import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { testCa } from '../helpers/certificates.js'
import { startBackend } from './backend.js'
import { TlsBalancer } from './tls-balancer.js'

const MIB = 1024 * 1024
const PIECE = Buffer.alloc(MIB, 'x')

describe('HTTP/2 over TLS across an upgrade', { timeout: 120_000 }, () => {
  for (const threads of [1, 2]) {
    test(`streams end where they began, and no request is lost, with ${threads} threads`, async (t) => {
      const { balancer, ca, downloads } = await setup(t, threads)
      const first = await balancer.start()
      const client = new Client(t, first.port, ca)
      const old = client.session
      const download = client.open({ ':path': '/down' })
      const upload = client.open({ ':path': '/up', ':method': 'POST' })
      assert.equal((await status(download))[':status'], 200)
      await once(download, 'data')
      upload.write(PIECE)
      const goaway = once(old, 'goaway')
      const asking = client.askUntilStopped()

      const starting = balancer.start('-u')
      first.program.kill('SIGQUIT')
      const next = await starting
      assert.equal(next.port, first.port)
      await first.program.match(/stopping/)
      await goaway
      assert.ok((await asking) > 0)

      // The old process serves what it has begun; the new one all that is new, on a connection of its own.
      assert.notEqual(client.session, old)
      assert.equal(await client.ask(), 'ok')
      upload.write(PIECE)
      upload.end(PIECE)
      assert.equal(await textOf(upload), String(3 * MIB))
      const [answer] = downloads
      answer!.end(PIECE)
      const bytes = await textOf(download)
      assert.equal(bytes.length, MIB)
      assert.deepEqual([upload.rstCode, download.rstCode], [0, 0])
      assert.equal((await first.program.ended).code, 0)

      assert.equal(await client.ask(), 'ok')
      client.session.destroy()
      next.program.kill('SIGTERM')
      assert.equal((await next.program.ended).code, 0)
    })
  }
})

/** A client that opens another connection once it is told that one goes away, as they all do. */
class Client {
  session: ClientHttp2Session
  readonly #t: TestContext
  readonly #port: number
  readonly #ca: string
  #hasMoved = false

  constructor(t: TestContext, port: number, ca: string) {
    this.#t = t
    this.#port = port
    this.#ca = ca
    this.session = this.#connect()
  }

  /** Opens a stream on the connection that takes one. */
  open(fields: Record<string, string>): ClientHttp2Stream {
    if (this.session.closed || this.session.destroyed) {
      this.#hasMoved = true
      this.session = this.#connect()
    }
    return this.session.request(fields)
  }

  /** Asks once, and again when the request was not looked at, as all clients do. */
  async ask(): Promise<string> {
    for (;;) {
      const stream = this.open({ ':path': '/' })
      try {
        return await textOf(stream)
      } catch (error) {
        if (stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM) throw error
      }
    }
  }

  /** Asks all the time until the connection was another one. Returns how often; all were answered. */
  async askUntilStopped(): Promise<number> {
    let count = 0
    for (; !this.#hasMoved; count++) assert.equal(await this.ask(), 'ok')
    return count
  }

  #connect(): ClientHttp2Session {
    const session = connect(`https://127.0.0.1:${this.#port}`, { ca: this.#ca })
    this.#t.after(() => {
      session.destroy()
    })
    return session
  }
}

/** A balancer in front of a backend that keeps the answers to `/down` open. */
async function setup(
  t: TestContext,
  threads: number,
): Promise<{ balancer: TlsBalancer; ca: string; downloads: ServerResponse[] }> {
  const downloads: ServerResponse[] = []
  const { address } = await startBackend(t, (request, answer) => {
    if (request.url === '/down') {
      downloads.push(answer)
      answer.write('begun')
      return
    }
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    request.on('end', () => answer.end(request.url === '/up' ? String(bytes) : 'ok'))
  })
  const ca = await testCa()
  const balancer = new TlsBalancer(t)
  balancer.writeCertificate('a', await ca.issue({ names: ['127.0.0.1'] }))
  const upstream = `{ backends: [{ address: "${address}" }] }`
  balancer.configure('{ cert: a.crt, key: a.key }', upstream, `threads: ${threads}`)
  return { balancer, ca: ca.cert, downloads }
}

async function status(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  const [fields] = (await once(stream, 'response')) as [IncomingHttpHeaders]
  return fields
}

/** All that comes from now on; rejects when the stream breaks. */
async function textOf(stream: ClientHttp2Stream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += (chunk as Buffer).toString('latin1')
  return text
}
