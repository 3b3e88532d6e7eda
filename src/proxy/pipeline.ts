/** The life of a request, phase by phase, from its parsed head to its log line. */
import { ProxyError } from '../error/index.js'
import type { RequestHeader } from '../http/index.js'
import type { Counters, Logger } from '../observability/index.js'
import { H1UpstreamSession } from '../session/index.js'
import type { DownstreamSession } from '../session/index.js'
import type { Connection, Connector, Environment, HttpPeer } from '../transport/index.js'
import { statusResponse } from './error-response.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { logFailure } from './log-failure.js'
import { Relay, hookError } from './relay.js'
import { decideRetry } from './retry.js'
import { Session } from './session.js'
import type { Attempt } from './session.js'

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

/**
 * Takes requests through their phases. `await` stands only where a hook or the network made a
 * promise: a request whose hooks are synchronous and whose upstream connection is pooled waits once,
 * for its response.
 */
export class Pipeline<Ctx> {
  readonly #hooks: Hooks<Ctx>
  readonly #context: PipelineContext

  constructor(hooks: Hooks<Ctx>, context: PipelineContext) {
    this.#hooks = hooks
    this.#context = context
  }

  /** Serves one request to its end. Never rejects. */
  async serve(downstream: DownstreamSession): Promise<void> {
    const session = new Session(downstream, this.#context.env.clock)
    let ctx: Ctx
    try {
      ctx = this.#hooks.newCtx()
    } catch (thrown) {
      // Without a context no hook can run, so none does.
      this.#answerError(session, downstream, hookError(thrown), {})
      downstream.finish()
      return
    }
    // From here on the relay hears of everything that the client does, whatever phase it is.
    const relay = new Relay(this.#hooks, session, ctx, downstream, this.#context.maxRetryBytes)
    let failure: ProxyError | undefined
    try {
      await this.#serve(session, ctx, downstream, relay)
    } catch (thrown) {
      failure = hookError(thrown)
      await this.#failToProxy(session, ctx, downstream, relay, failure)
    }
    // Last, so that the hook sees everything; before the connection goes on to its next request.
    this.#log(session, failure, ctx)
    downstream.finish()
  }

  /** All phases of a request that nothing stops. @throws what a hook threw, or why no attempt worked. */
  async #serve(
    session: Session,
    ctx: Ctx,
    downstream: DownstreamSession,
    relay: Relay<Ctx>,
  ): Promise<void> {
    const hooks = this.#hooks

    // Before everything that could refuse the request, so that it can prepare all later phases.
    const early = hooks.earlyRequestFilter?.(session, ctx)
    if (isPromise(early)) await early

    // Access control, routing and own answers: before any upstream is spent on the request.
    const verdict = hooks.requestFilter?.(session, ctx)
    if ((isPromise(verdict) ? await verdict : verdict) === 'responded') {
      this.#assertResponded(downstream)
      return
    }

    // One turn per attempt. Choosing the peer is part of it: a retry should go somewhere else.
    for (let attempts = 1; ; attempts++) {
      // A client that left while a hook or a connect was awaited wants nothing any more.
      if (relay.clientError !== null) throw relay.clientError

      const choice = hooks.upstreamPeer(session, ctx)
      const peer = isPromise(choice) ? await choice : choice
      // With nowhere else to go the failure that made us look is the better answer.
      if (peer === undefined) throw session.attempts.at(-1)?.error ?? new ProxyError('PGR_NO_PEER')

      const attempt: Attempt = { peer, reused: false, error: null }
      session.attempts.push(attempt)
      this.#context.counters.add('attempts')
      if (attempts > 1) this.#context.counters.add('retries')

      const error = await this.#attempt(session, ctx, relay, attempt)
      if (error === null) return
      attempt.error = error
      const mayRetry = relay.clientError === null && !downstream.headerWritten && relay.retryBuffer.complete
      if (error.retry !== 'yes' || !mayRetry || attempts >= this.#context.maxAttempts) throw error
      this.#context.logger.warn('retrying', { peer: peer.address, attempts, code: error.code, reason: error.message })
    }
  }

  /** One attempt: connect, send, relay. Returns why it failed, with the retry decision made. */
  async #attempt(
    session: Session,
    ctx: Ctx,
    relay: Relay<Ctx>,
    attempt: Attempt,
  ): Promise<ProxyError | null> {
    const { connector } = this.#context
    const { peer } = attempt

    // A pooled connection costs no wait; it was watched while idle, so it stands.
    let connection = connector.takeIdle(peer)
    attempt.reused = connection !== undefined
    if (connection === undefined) {
      const made = await this.#connect(session, ctx, relay, peer)
      if (made instanceof ProxyError) return made
      connection = made
    }
    session.upstreamDigest = connection.digest
    const upstream = new H1UpstreamSession(connection, relay, peer, this.#context.env.deadlines)
    let error: ProxyError | null
    try {
      const connected = this.#hooks.connectedToUpstream?.(session, attempt.reused, peer, connection.digest, ctx)
      if (isPromise(connected)) await connected

      // On a copy, so that another attempt starts from what the client sent.
      const request = upstreamRequest(session.reqHeader, peer)
      const filtered = this.#hooks.upstreamRequestFilter?.(session, request, ctx)
      if (isPromise(filtered)) await filtered

      error = relay.clientError ?? upstream.failure
      error ??= await new Promise<ProxyError | null>((resolve) => {
        relay.start(upstream, request, resolve)
      })
    } catch (thrown) {
      error = hookError(thrown)
    }
    if (error === null) {
      // Only a connection on which nothing is left over may serve anybody else.
      if (upstream.reusable) connector.release(peer, connection)
      else upstream.abort()
      return null
    }
    const { requestStarted } = upstream
    upstream.abort()
    return this.#errorWhileProxy(session, ctx, attempt, error, requestStarted)
  }

  async #connect(
    session: Session,
    ctx: Ctx,
    relay: Relay<Ctx>,
    peer: HttpPeer,
  ): Promise<Connection | ProxyError> {
    const gone = new AbortController()
    relay.onClientGone = () => {
      gone.abort()
    }
    try {
      return await this.#context.connector.connect(peer, gone.signal)
    } catch (thrown) {
      if (relay.clientError !== null) return relay.clientError
      const error = hookError(thrown)
      error.context = `peer ${peer.toString()}`
      // Nothing was sent yet, so the hook may ask for another attempt whatever the request is.
      const verdict = this.#hooks.failToConnect?.(session, peer, error, ctx)
      return (isPromise(verdict) ? await verdict : verdict) ?? error
    } finally {
      relay.onClientGone = null
    }
  }

  /** Decides whether the failed attempt may be followed by another. */
  #errorWhileProxy(
    session: Session,
    ctx: Ctx,
    attempt: Attempt,
    failed: ProxyError,
    requestStarted: boolean,
  ): ProxyError {
    const { peer, reused } = attempt
    let error = failed
    if (error.context === '') error.context = `peer ${peer.toString()}`
    const facts = { method: session.reqHeader.method, reused, requestStarted }
    error.retry = decideRetry(error, facts) ? 'yes' : 'no'
    error = this.#hooks.errorWhileProxy?.(session, peer, error, ctx, reused) ?? error
    return error
  }

  /** The final failure: its log line, and a response where one can still be given. */
  async #failToProxy(
    session: Session,
    ctx: Ctx,
    downstream: DownstreamSession,
    relay: Relay<Ctx>,
    error: ProxyError,
  ): Promise<void> {
    this.#context.counters.addError(error.code)
    logFailure(this.#hooks, this.#context.logger, session, ctx, error)
    const clientLeft = relay.clientError !== null && relay.clientError.status === CLIENT_LEFT
    if (downstream.headerWritten || clientLeft) {
      // What was begun cannot become an error response; cut, it cannot be taken for whole either.
      if (!downstream.responseDone) downstream.abort()
      return
    }
    try {
      const answer = this.#hooks.failToProxy?.(session, error, ctx)
      const verdict = (isPromise(answer) ? await answer : answer) ?? {}
      this.#answerError(session, downstream, error, verdict)
    } catch (thrown) {
      this.#context.logger.error('failToProxy failed', { reason: hookError(thrown).message })
      this.#answerError(session, downstream, error, {})
    }
  }

  #answerError(
    session: Session,
    downstream: DownstreamSession,
    error: ProxyError,
    verdict: { readonly status?: number; readonly body?: string },
  ): void {
    if (downstream.headerWritten) return
    const status = verdict.status ?? error.status
    if (status < 200 || status > 999 || status === CLIENT_LEFT) {
      downstream.abort()
      return
    }
    const { header, body } = statusResponse(status, verdict.body)
    // Refused bodies and half-read ones: the connection's place in the stream is not known for sure.
    if (error.source === 'downstream') downstream.keepAlive = false
    downstream.writeHeader(header, body.length)
    downstream.writeBody(body, 0, body.length)
    downstream.writeEnd(null)
    session.responseHeader = header
  }

  #assertResponded(downstream: DownstreamSession): void {
    if (downstream.responseDone) return
    throw new ProxyError('PGR_RESPONSE_ORDER', "requestFilter returned 'responded' without a response")
  }

  #log(session: Session, error: ProxyError | undefined, ctx: Ctx): void {
    const { logger } = this.#context
    const report = (thrown: unknown): void => {
      logger.error('the logging hook failed', { reason: hookError(thrown).message })
    }
    try {
      const logged = this.#hooks.logging?.(session, error, ctx)
      if (isPromise(logged)) logged.catch(report)
    } catch (thrown) {
      report(thrown)
    }
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

/** The status that stands for "the client left"; never sent. */
const CLIENT_LEFT = 499
