/** A program whose services depend on each other in main thread and workers; SIGUSR2 makes the first one ready. */
import { Opt, Server, backgroundService, httpProxyService } from '../../src/index.js'
import type { Service } from '../../src/index.js'
import type { Logger } from '../../src/observability/index.js'

/** Runs in the workers, and says when it starts and stops. */
function threaded(name: string): Service {
  let log: Logger | null = null
  return {
    name,
    runsIn: 'threads',
    start: ({ logger, thread }) => {
      log = logger
      // In the main thread only listeners would be its part.
      if (thread !== 0) logger.info(`${name} starts`)
      return new Promise(setImmediate)
    },
    stop: () => {
      log?.info(`${name} stops`)
      return new Promise(setImmediate)
    },
    destroy: () => undefined,
  }
}

const server = new Server(Opt.parseArgs())
await server.bootstrap()
const tokens = backgroundService('tokens', {
  async start({ signal, ready, logger }) {
    process.once('SIGUSR2', () => {
      logger.info('tokens are ready')
      ready()
    })
    logger.info('tokens start')
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
    logger.info('tokens end')
  },
})
const proxy = httpProxyService(server.configuration, {
  newCtx: () => undefined,
  upstreamPeer: () => undefined,
  requestFilter(session) {
    session.respond(200, { body: 'hello' })
    return 'responded'
  },
})
proxy.addTcp('127.0.0.1:0')

// Against the order in which they have to start.
const last = server.addService(proxy)
const cache = server.addService(threaded('cache'))
const store = server.addService(threaded('store'))
last.addDependency(cache)
cache.addDependency(store)
store.addDependency(server.addService(tokens))
await server.runForever({ entry: import.meta.url })
