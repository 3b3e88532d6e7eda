/** A program that prints the phases of its server. */
import { HttpPeer, Opt, Server, httpProxyService } from '../../src/index.js'

const server = new Server(Opt.parseArgs())
server.watchPhase((phase) => {
  console.log(`phase ${phase}`)
})
await server.bootstrap()
const proxy = httpProxyService(server.configuration, {
  newCtx: () => undefined,
  upstreamPeer: () => new HttpPeer('127.0.0.1:1'),
})
proxy.addTcp('127.0.0.1:0')
server.addService(proxy)
await server.runForever()
