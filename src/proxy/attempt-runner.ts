/** One attempt of a request: connect to its peer, send, relay the answer, keep or drop the connection. */
import { ProxyError } from '../error/index.js'
import type { RequestHeader } from '../http/index.js'
import type { Counters, Logger } from '../observability/index.js'
import { H1UpstreamSession } from '../session/index.js'
import type { UpstreamSession } from '../session/index.js'
import type { Connection, Connector, Environment, HttpPeer } from '../transport/index.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { hookError } from './relay.js'
import type { Relay } from './relay.js'
import { decideRetry } from './retry.js'
import type { Attempt, Session } from './session.js'

/** What all requests of a service share. */
export interface PipelineContext {
  readonly env: Environment
  readonly connector: Connector
  readonly logger: Logger
  readonly counters: Counters
  /** Attempts per request in all (Pingora's `max_retries`). */
  readonly maxAttempts: number
  /** Request body bytes kept for another attempt. */
  readonly maxRetryBytes: number
}

/** Makes attempts. One promise each; its callbacks wait only where a hook or the network does. */
export class AttemptRunner<Ctx> {
  readonly #hooks: Hooks<Ctx>
  readonly #context: PipelineContext

  constructor(hooks: Hooks<Ctx>, context: PipelineContext) {
    this.#hooks = hooks
    this.#context = context
  }

  /** Resolves with why the attempt failed, its retry decision made; rejects with a hook's throw. */
  run(session: Session, relay: Relay<Ctx>, attempt: Attempt): Promise<ProxyError | null> {
    // A pooled connection costs no wait; it was watched while idle, so it stands.
    const connection = this.#context.connector.takeIdle(attempt.peer)
    if (connection === undefined) return this.#connectAndExchange(session, relay, attempt)
    attempt.reused = true
    return this.#exchange(session, relay, attempt, connection)
  }

  async #connectAndExchange(
    session: Session,
    relay: Relay<Ctx>,
    attempt: Attempt,
  ): Promise<ProxyError | null> {
    const { peer } = attempt
    const gone = new AbortController()
    relay.onClientGone = () => {
      gone.abort()
    }
    let connection: Connection
    try {
      connection = await this.#context.connector.connect(peer, gone.signal)
    } catch (thrown) {
      if (relay.clientError !== null) return relay.clientError
      const error = hookError(thrown)
      error.context = `peer ${peer.toString()}`
      // Nothing was sent yet, so the hook may ask for another attempt whatever the request is.
      const verdict = this.#hooks.failToConnect?.(session, peer, error, relay.ctx)
      return (isPromise(verdict) ? await verdict : verdict) ?? error
    } finally {
      relay.onClientGone = null
    }
    return this.#exchange(session, relay, attempt, connection)
  }

  /** Sends the request on `connection` and relays the response. */
  #exchange(
    session: Session,
    relay: Relay<Ctx>,
    attempt: Attempt,
    connection: Connection,
  ): Promise<ProxyError | null> {
    session.upstreamDigest = connection.digest
    const { deadlines } = this.#context.env
    const upstream = H1UpstreamSession.open(connection, relay, attempt.peer, deadlines)
    return new Promise((resolve, reject) => {
      const settle = (error: ProxyError | null): void => {
        try {
          resolve(this.#settle(session, relay, attempt, connection, upstream, error))
        } catch (thrown) {
          reject(hookError(thrown))
        }
      }
      const start = (request: RequestHeader): void => {
        // A client or an upstream that left while a hook was awaited wants nothing any more.
        const error = relay.clientError ?? upstream.failure
        if (error === null) relay.start(upstream, request, settle)
        else settle(error)
      }
      const failed = (thrown: unknown): void => {
        settle(hookError(thrown))
      }
      try {
        const request = this.#prepare(session, relay.ctx, attempt, connection)
        if (isPromise(request)) request.then(start, failed)
        else start(request)
      } catch (thrown) {
        failed(thrown)
      }
    })
  }

  /** The head for the upstream: a copy, so that another attempt starts from what the client sent. */
  #prepare(
    session: Session,
    ctx: Ctx,
    { peer, reused }: Attempt,
    { digest }: Connection,
  ): RequestHeader | Promise<RequestHeader> {
    const { connectedToUpstream, upstreamRequestFilter } = this.#hooks
    const request = upstreamRequest(session.reqHeader, peer)
    const connected = connectedToUpstream?.(session, reused, peer, digest, ctx)
    const filtered = isPromise(connected)
      ? connected.then(() => upstreamRequestFilter?.(session, request, ctx))
      : upstreamRequestFilter?.(session, request, ctx)
    return isPromise(filtered) ? filtered.then(() => request) : request
  }

  /** The attempt is over: what becomes of its connection, and whether another attempt may follow. */
  #settle(
    session: Session,
    relay: Relay<Ctx>,
    attempt: Attempt,
    connection: Connection,
    upstream: UpstreamSession,
    failure: ProxyError | null,
  ): ProxyError | null {
    const { peer, reused } = attempt
    if (failure === null) {
      // Only a connection on which nothing is left over may serve anybody else.
      if (upstream.reusable) this.#context.connector.release(peer, connection)
      else upstream.abort()
      return null
    }
    const { requestStarted } = upstream
    upstream.abort()
    if (failure.context === '') failure.context = `peer ${peer.toString()}`
    const facts = { method: session.reqHeader.method, reused, requestStarted }
    failure.retry = decideRetry(failure, facts) ? 'yes' : 'no'
    return this.#hooks.errorWhileProxy?.(session, peer, failure, relay.ctx, reused) ?? failure
  }
}

/** The head as the upstream gets it when no filter changes it. */
function upstreamRequest(header: RequestHeader, peer: HttpPeer): RequestHeader {
  const request = header.clone()
  // Only HTTP/1.0 requests may come without Host; HTTP/1.1, which we speak, must have one.
  if (request.headers.getByKey('host') === undefined) {
    request.headers.set('Host', peer.sni !== '' ? peer.sni : hostOf(peer.address))
  }
  return request
}

function hostOf(address: string): string {
  return address.startsWith('unix:') ? 'localhost' : address
}
