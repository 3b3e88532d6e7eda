/** A program that forgets its workers: none comes to `run()`. Ten seconds are over at once here. */
import { isMainThread } from 'node:worker_threads'
import { HttpPeer, Server, ServerConf, httpProxyService } from '../../src/index.js'
import { RealClock } from '../../src/time/index.js'
import type { Timer } from '../../src/time/index.js'
import { REAL_ENVIRONMENT } from '../../src/transport/index.js'

class ImpatientClock extends RealClock {
  override schedule(delayMs: number, callback: () => void): Timer {
    return super.schedule(delayMs >= 10_000 ? 100 : delayMs, callback)
  }
}

if (isMainThread) {
  const env = { ...REAL_ENVIRONMENT, clock: new ImpatientClock() }
  const server = new Server(null, new ServerConf({ threads: 2 }), { env })
  const proxy = httpProxyService(server.configuration, {
    newCtx: () => undefined,
    upstreamPeer: () => new HttpPeer('127.0.0.1:1'),
  })
  proxy.addTcp('127.0.0.1:0')
  server.addService(proxy)
  await server.runForever()
} else {
  setInterval(() => undefined, 60_000)
}
