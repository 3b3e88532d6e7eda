/** The quick start's proxy over plain backends: `node ours.js LISTEN_PORT BACKEND_HOST:PORT … [--cert=FILE --key=FILE | --h2c]`. */
import { parseArgs } from 'node:util'
import { HttpPeer, LoadBalancer, Opt, Server, TcpHealthCheck } from 'pingora-ts'
import { backgroundService, httpProxyService } from 'pingora-ts'
import type { ProxyHttp, RequestHeader, Session } from 'pingora-ts'

class LB implements ProxyHttp<void> {
  readonly #upstreams: LoadBalancer
  constructor(upstreams: LoadBalancer) {
    this.#upstreams = upstreams
  }
  newCtx(): void {}
  upstreamPeer(): HttpPeer | undefined {
    const upstream = this.#upstreams.select('', 256)
    return upstream && new HttpPeer(upstream)
  }
  upstreamRequestFilter(_session: Session, upstreamRequest: RequestHeader): void {
    upstreamRequest.insertHeader('Host', 'one.one.one.one')
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cert: { type: 'string' }, key: { type: 'string' }, h2c: { type: 'boolean' } },
})
const [port = '0', ...backends] = positionals
const server = new Server(new Opt())
await server.bootstrap()

const upstreams = await LoadBalancer.tryFromIter(backends)
upstreams.setHealthCheck(new TcpHealthCheck())
upstreams.healthCheckFrequencyMs = 1_000
const background = backgroundService('health check', upstreams)

const lb = httpProxyService(server.configuration, new LB(upstreams))
if (values.cert !== undefined && values.key !== undefined)
  lb.addTls(`127.0.0.1:${port}`, values.cert, values.key)
else lb.addTcp(`127.0.0.1:${port}`, { h2c: values.h2c === true })

server.addService(background)
server.addService(lb)
await server.runForever()
