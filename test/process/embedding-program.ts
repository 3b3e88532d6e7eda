/** A program that goes on when its server cannot start. Its arguments are where it should listen. */
import { HttpPeer, Server, ServerConf, httpProxyService } from '../../src/index.js'

const server = new Server(null, new ServerConf({ threads: Number(process.env['THREADS'] ?? 1) }))
await server.bootstrap()
const proxy = httpProxyService(server.configuration, {
  newCtx: () => undefined,
  upstreamPeer: () => new HttpPeer('127.0.0.1:1'),
})
for (const address of process.argv.slice(2)) proxy.addListener(address)
server.addService(proxy)
try {
  await server.run()
} catch (thrown) {
  console.log(`goes on after: ${String(thrown)}`)
}
// Until it is killed.
setInterval(() => undefined, 60_000)
