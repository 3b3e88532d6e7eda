/** One attempt of a request: connect to its peer, send, relay the answer, keep or drop the connection. */
import { ProxyError } from '../error/index.js'
import type { RequestHeader } from '../http/index.js'
import type { Counters, Logger } from '../observability/index.js'
import type { DownstreamSession, HttpConnector, UpstreamSession } from '../session/index.js'
import type { ConnectionDigest, Environment, HttpPeer } from '../transport/index.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { hookError } from './relay.js'
import type { ExchangeOwner, Relay } from './relay.js'
import type { RequestIds } from './request-ids.js'
import { decideRetry } from './retry.js'
import type { Attempt } from './session.js'
import { Tunnel } from './tunnel.js'

/** What all requests of a service share. */
export interface PipelineContext {
  readonly env: Environment
  readonly connector: HttpConnector
  readonly logger: Logger
  readonly counters: Counters
  /** Attempts per request in all (Pingora's `max_retries`). */
  readonly maxAttempts: number
  /** Names requests. */
  readonly requestIds: RequestIds
  /** Request body bytes kept for another attempt. */
  readonly maxRetryBytes: number
}

/** Who is told how an attempt ended. */
export interface AttemptOwner<Ctx> {
  /** It failed with `error`, whose retry decision is made, or is complete. */
  attemptEnded(relay: Relay<Ctx>, error: ProxyError | null): void
  /** A hook threw: no other attempt may follow. */
  attemptThrew(relay: Relay<Ctx>, error: ProxyError): void
}

/** Makes attempts. It waits only where a hook or the network does, and else calls straight on. */
export class AttemptRunner<Ctx> implements ExchangeOwner<Ctx> {
  readonly #hooks: Hooks<Ctx>
  readonly #context: PipelineContext
  readonly #owner: AttemptOwner<Ctx>

  constructor(hooks: Hooks<Ctx>, context: PipelineContext, owner: AttemptOwner<Ctx>) {
    this.#hooks = hooks
    this.#context = context
    this.#owner = owner
  }

  /** Makes one attempt; the owner is told once how it ended. */
  start(relay: Relay<Ctx>, attempt: Attempt): void {
    // A pooled connection costs no wait; it was watched while idle, so it stands.
    const upgrades = mayBecomeTunnel(relay.downstream)
    const upstream = this.#context.connector.reuse(attempt.peer, relay, upgrades)
    if (upstream === undefined) {
      void this.#connect(relay, attempt)
      return
    }
    attempt.reused = true
    this.#exchange(relay, attempt, upstream)
  }

  async #connect(relay: Relay<Ctx>, attempt: Attempt): Promise<void> {
    const { peer } = attempt
    const upgrades = mayBecomeTunnel(relay.downstream)
    const gone = new AbortController()
    relay.onClientGone = () => {
      gone.abort()
    }
    let upstream: UpstreamSession
    try {
      upstream = await this.#context.connector.open(peer, relay, upgrades, gone.signal)
    } catch (thrown) {
      relay.onClientGone = null
      await this.#failToConnect(relay, peer, hookError(thrown))
      return
    }
    relay.onClientGone = null
    this.#exchange(relay, attempt, upstream)
  }

  async #failToConnect(relay: Relay<Ctx>, peer: HttpPeer, error: ProxyError): Promise<void> {
    if (relay.clientError !== null) {
      this.#owner.attemptEnded(relay, relay.clientError)
      return
    }
    error.context = `peer ${peer.toString()}`
    let decided: ProxyError
    try {
      // Nothing was sent yet, so the hook may ask for another attempt whatever the request is.
      const verdict = this.#hooks.failToConnect?.(relay.session, peer, error, relay.ctx)
      decided = (isPromise(verdict) ? await verdict : verdict) ?? error
    } catch (thrown) {
      this.#owner.attemptThrew(relay, hookError(thrown))
      return
    }
    this.#owner.attemptEnded(relay, decided)
  }

  /** Sends the request on `upstream` and relays the response. */
  #exchange(relay: Relay<Ctx>, attempt: Attempt, upstream: UpstreamSession): void {
    const { digest } = upstream
    relay.session.upstreamDigest = digest
    let request: RequestHeader | Promise<RequestHeader>
    try {
      request = this.#prepare(relay, attempt, digest)
    } catch (thrown) {
      this.exchangeEnded(relay, upstream, hookError(thrown))
      return
    }
    if (!isPromise(request)) {
      this.#send(relay, upstream, request)
      return
    }
    request.then(
      (prepared) => {
        this.#send(relay, upstream, prepared)
      },
      (thrown: unknown) => {
        this.exchangeEnded(relay, upstream, hookError(thrown))
      },
    )
  }

  #send(relay: Relay<Ctx>, upstream: UpstreamSession, request: RequestHeader): void {
    // A client or an upstream that left while a hook was awaited wants nothing any more.
    const error = relay.clientError ?? upstream.failure
    if (error === null) relay.start(upstream, request, this)
    else this.exchangeEnded(relay, upstream, error)
  }

  /** The head for the upstream: a copy, so that another attempt starts from what the client sent. */
  #prepare(
    { session, ctx }: Relay<Ctx>,
    { peer, reused }: Attempt,
    digest: ConnectionDigest,
  ): RequestHeader | Promise<RequestHeader> {
    const { connectedToUpstream, upstreamRequestFilter } = this.#hooks
    const request = upstreamRequest(session.reqHeader, peer)
    const connected = connectedToUpstream?.(session, reused, peer, digest, ctx)
    const filtered = isPromise(connected)
      ? connected.then(() => upstreamRequestFilter?.(session, request, ctx))
      : upstreamRequestFilter?.(session, request, ctx)
    return isPromise(filtered) ? filtered.then(() => request) : request
  }

  /** From here on there are only bytes, until both sides have ended; there is no way back to HTTP. */
  tunnelOpened(relay: Relay<Ctx>, upstream: UpstreamSession): void {
    const { session, ctx, downstream } = relay
    const { counters, env } = this.#context
    const { requestBodyFilter, responseBodyFilter } = this.#hooks
    counters.add('tunnels')
    counters.add('tunnelsOpen')
    const tunnel = new Tunnel({
      client: downstream.startTunnel(),
      upstream: upstream.startTunnel(),
      requestFilter:
        requestBodyFilter && ((piece, end) => requestBodyFilter(session, piece, end, ctx)),
      responseFilter:
        responseBodyFilter && ((piece, end) => responseBodyFilter(session, piece, end, ctx)),
      deadlines: env.deadlines,
      timeoutMs: session.attempts.at(-1)!.peer.tunnelTimeoutMs,
      onOver: (error) => {
        counters.add('tunnelsOpen', -1)
        this.exchangeEnded(relay, upstream, error)
      },
    })
    tunnel.start()
  }

  /** What becomes of the connection, and whether another attempt may follow. */
  exchangeEnded(relay: Relay<Ctx>, upstream: UpstreamSession, failure: ProxyError | null): void {
    const { peer, reused } = relay.session.attempts.at(-1)!
    if (failure === null) {
      this.#context.connector.release(peer, upstream)
      this.#owner.attemptEnded(relay, null)
      return
    }
    const { requestStarted } = upstream
    upstream.abort()
    if (failure.context === '') failure.context = `peer ${peer.toString()}`
    const facts = { method: relay.session.reqHeader.method, reused, requestStarted }
    failure.retry = decideRetry(failure, facts) ? 'yes' : 'no'
    let decided: ProxyError
    try {
      decided =
        this.#hooks.errorWhileProxy?.(relay.session, peer, failure, relay.ctx, reused) ?? failure
    } catch (thrown) {
      this.#owner.attemptThrew(relay, hookError(thrown))
      return
    }
    this.#owner.attemptEnded(relay, decided)
  }
}

/** Whether the answer may leave bytes on the connection that are no HTTP, which takes one of HTTP/1. */
function mayBecomeTunnel({ upgrade, header }: DownstreamSession): boolean {
  return upgrade !== null || header.method === 'CONNECT'
}

/** The head as the upstream gets it when no filter changes it. */
function upstreamRequest(header: RequestHeader, peer: HttpPeer): RequestHeader {
  const request = header.clone()
  // Only HTTP/1.0 requests may come without Host; HTTP/1.1, which we speak, must have one.
  if (request.headers.host === undefined) {
    request.headers.set('Host', peer.sni !== '' ? peer.sni : hostOf(peer.address))
  }
  return request
}

function hostOf(address: string): string {
  return address.startsWith('unix:') ? 'localhost' : address
}
