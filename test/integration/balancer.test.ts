import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
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
  readonly ask: (method?: string) => Promise<string>
  readonly logger: RecordingLogger
  readonly server: Server
  /** Settles when the server has stopped. */
  readonly run: Promise<void>
}

async function startBalancer(
  t: TestContext,
  backends: readonly string[],
  more = '',
): Promise<Running> {
  const list = backends.map((address) => `{ address: '${address}' }`).join(', ')
  const yaml = `listeners: [{ address: '127.0.0.1:0' }]\nupstreams: { app: { backends: [${list}] ${more} } }`
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
  const ask = async (method = 'GET'): Promise<string> => {
    const sent = request({ host: '127.0.0.1', port, method, agent: false })
    sent.end(method === 'POST' ? 'body' : undefined)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const text = (await response.setEncoding('utf8').toArray()).join('')
    return `${response.statusCode} ${text}`
  }
  return { ask, logger, server, run }
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
