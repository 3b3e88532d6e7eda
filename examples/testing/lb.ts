/** The proxy of the quick start as a class of its own, so that tests can import it. */
import { HttpPeer } from 'pingora-ts'
import type { LoadBalancer, ProxyHttp, RequestHeader, Session } from 'pingora-ts'

export class LB implements ProxyHttp<void> {
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
