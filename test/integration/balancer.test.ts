import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage, RequestListener, RequestOptions } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { createBalancer, readBalancer } from '../../src/balancer/index.js'
import { ConfigDocument } from '../../src/configuration/index.js'
import { HttpProxyService } from '../../src/proxy/index.js'
import { Server } from '../../src/server/index.js'
import { RecordingLogger } from '../helpers/recording-logger.js'
import { startBackend, startTextBackend } from '../process/backend.js'

/** A balancer of the given backends in this process. */
interface Running {
  /** Sends one request and returns status and body. */
  readonly ask: (method?: string, options?: RequestOptions) => Promise<string>
  /** Sends bytes, and the end of the stream if so asked; returns all that comes until the close. */
  readonly send: (bytes: string, withEnd?: boolean) => Promise<string>
  readonly logger: RecordingLogger
  readonly server: Server
  /** Settles when the server has stopped. */
  readonly run: Promise<void>
}

async function startBalancer(
  t: TestContext,
  backends: readonly string[],
  more = '',
  topLevel = '',
): Promise<Running> {
  const list = backends.map((address) => `{ address: '${address}' }`).join(', ')
  const yaml = `listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { app: { backends: [${list}] ${more} } }\n${topLevel}`
  const { conf, settings } = readBalancer(new ConfigDocument(yaml))
  const logger = new RecordingLogger()
  const server = new Server(null, conf, { logger })
  const services = await createBalancer(conf, settings)
  server.addServices(services)
  let onReady = (): void => undefined
  const ready = new Promise<void>((resolve) => (onReady = resolve))
  const run = server.run({ onReady })
  t.after(async () => {
    server.stop('immediate')
    await run
  })
  await Promise.race([ready, run])
  const proxy = services.find((service) => service instanceof HttpProxyService)
  const port = Number(proxy?.addresses[0]?.split(':')[1])
  const ask = async (method = 'GET', options: RequestOptions = {}): Promise<string> => {
    const sent = request({ host: '127.0.0.1', port, method, agent: false, ...options })
    sent.end(method.startsWith('P') ? 'body' : undefined)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const text = (await response.setEncoding('utf8').toArray()).join('')
    return `${response.statusCode} ${text}`
  }
  const send = async (bytes: string, withEnd = false): Promise<string> => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    t.after(() => socket.destroy())
    if (withEnd) socket.end(bytes)
    else socket.write(bytes)
    return (await socket.setEncoding('latin1').toArray()).join('')
  }
  return { ask, send, logger, server, run }
}

/** Closes every connection as soon as a request has come. */
const reset: RequestListener = ({ socket }) => socket.destroy()

const NOWHERE = '127.0.0.1:1'

describe('the balancer', () => {
  test('sends each request that a backend refuses or resets to the other one', async (t) => {
    const good = await startTextBackend(t, 'good')
    const bad = await startBackend(t, reset)
    for (const other of [NOWHERE, bad.address]) {
      const { ask } = await startBalancer(t, [good.address, other])
      for (let turn = 0; turn < 4; turn++) assert.equal(await ask(), '200 good')
    }
  })

  test('repeats no request that is not idempotent once it was sent', async (t) => {
    const good = await startTextBackend(t, 'good')
    const bad = await startBackend(t, reset)
    const { ask } = await startBalancer(t, [good.address, bad.address])
    const statuses = [await ask('POST'), await ask('POST')].map((answer) => answer.slice(0, 3))
    assert.deepEqual(statuses.sort(), ['200', '502'])
    const refused = await startBalancer(t, [good.address, NOWHERE])
    for (let turn = 0; turn < 2; turn++) assert.equal(await refused.ask('POST'), '200 good')
  })

  test('gives up after max retries, and retries nothing that is not asked for', async (t) => {
    const { ask } = await startBalancer(t, [NOWHERE], ', retries: { max: 3 }')
    assert.match(await ask(), /^502 /)
    const good = await startTextBackend(t, 'good')
    const strict = await startBalancer(t, [good.address, NOWHERE], ', retries: { on: [] }')
    const statuses = [await strict.ask(), await strict.ask()].map((answer) => answer.slice(0, 3))
    assert.deepEqual(statuses.sort(), ['200', '502'])
  })

  test('answers 503 while the health check finds no backend alive', async (t) => {
    const { ask } = await startBalancer(t, [NOWHERE], ', health_check: { type: tcp }')
    assert.match(await ask(), /^503 /)
  })

  test('refuses what is over the limits of the file', async (t) => {
    const { address } = await startTextBackend(t, 'good')
    const limits = 'limits: { request_line: 40, headers: 100, header_count: 4 }'
    const { ask } = await startBalancer(t, [address], '', limits)
    const status = async (options: RequestOptions): Promise<string> =>
      (await ask('GET', options)).slice(0, 3)
    // Host and Connection are there always.
    assert.equal(await status({ headers: { a: '1', b: '2' } }), '200')
    assert.equal(await status({ headers: { a: '1', b: '2', c: '3' } }), '431')
    assert.equal(await status({ headers: { a: 'x'.repeat(100) } }), '431')
    assert.equal(await status({ path: `/${'x'.repeat(40)}` }), '414')
  })

  test('repeats no request whose body does not fit into the retry buffer of the file', async (t) => {
    const good = await startTextBackend(t, 'good')
    const bad = await startBackend(t, reset)
    const both = [good.address, bad.address]
    const large = await startBalancer(t, both)
    for (let turn = 0; turn < 2; turn++) assert.equal(await large.ask('PUT'), '200 good')
    const none = await startBalancer(t, both, '', 'limits: { retry_buffer: 0 }')
    const statuses = [await none.ask('PUT'), await none.ask('PUT')].map((text) => text.slice(0, 3))
    assert.deepEqual(statuses.sort(), ['200', '502'])
  })

  test('ends the wait for a head or a body after the time of the file', async (t) => {
    const { address } = await startTextBackend(t, 'good')
    const times = 'client_timeouts: { header: 50ms, body: 50ms }'
    const { send } = await startBalancer(t, [address], '', times)
    assert.equal(await send(''), '')
    assert.match(await send('GET / HTTP/1.1\r\n'), /^HTTP\/1\.1 408 /)
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n'
    // The backend of this test answers before the body is complete; this one never does.
    const silent = await startBackend(t, (sent) => sent.resume())
    const waiting = await startBalancer(t, [silent.address], '', times)
    assert.match(await waiting.send(`${head}ab`), /^HTTP\/1\.1 408 /)
  })

  test('answers a client that has ended its direction where the file says so', async (t) => {
    const { address } = await startTextBackend(t, 'good')
    const { send } = await startBalancer(t, [address], '', 'abort_on_close: false')
    const answer = await send('GET / HTTP/1.1\r\nHost: a\r\n\r\n', true)
    assert.match(answer, /^HTTP\/1\.1 200 [^]*good$/)
  })

  test('leaves no handler in the process when it has stopped', async (t) => {
    const events = [
      'SIGTERM',
      'SIGINT',
      'SIGHUP',
      'SIGQUIT',
      'SIGUSR1',
      'uncaughtException',
    ] as const
    const count = (): number[] => events.map((event) => process.listenerCount(event))
    const before = count()
    const { server, run } = await startBalancer(t, [NOWHERE])
    assert.notDeepEqual(count(), before)
    server.stop()
    await run
    assert.deepEqual(count(), before)
  })
})
