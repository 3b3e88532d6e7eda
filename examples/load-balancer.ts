/** The quick start: a load balancer over HTTPS backends that leaves dead ones out. */
import { HttpPeer, LoadBalancer, Opt, Server, TcpHealthCheck, backgroundService, httpProxyService } from 'pingora-ts'
import type { ProxyHttp, RequestHeader, Session } from 'pingora-ts'

class LB implements ProxyHttp<void> {
  readonly #upstreams: LoadBalancer
  constructor(upstreams: LoadBalancer) {
    this.#upstreams = upstreams
  }
  newCtx() {}
  upstreamPeer() {
    const upstream = this.#upstreams.select('', 256) // the hash key does not matter for round robin
    return upstream && new HttpPeer(upstream, { tls: true, sni: 'one.one.one.one' }) // none healthy: 503
  }
  upstreamRequestFilter(_session: Session, upstreamRequest: RequestHeader) {
    upstreamRequest.insertHeader('Host', 'one.one.one.one')
  }
}

const server = new Server(Opt.parseArgs())
await server.bootstrap()

const upstreams = await LoadBalancer.tryFromIter(['1.1.1.1:443', '1.0.0.1:443', '127.0.0.1:343'])
upstreams.setHealthCheck(new TcpHealthCheck())
upstreams.healthCheckFrequencyMs = 1_000
const background = backgroundService('health check', upstreams)

const lb = httpProxyService(server.configuration, new LB(upstreams))
lb.addTcp('0.0.0.0:6188')

server.addService(background)
server.addService(lb)
await server.runForever()
