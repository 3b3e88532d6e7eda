/** The life of a request, phase by phase, from its parsed head to its log line. */
import { ProxyError } from '../error/index.js'
import { ModuleSession } from '../modules/internal.js'
import { counterSlot } from '../observability/index.js'
import type { DownstreamSession } from '../session/index.js'
import type { HttpPeer } from '../transport/index.js'
import { AttemptRunner } from './attempt-runner.js'
import type { AttemptOwner, PipelineContext } from './attempt-runner.js'
import { failureResponse } from './error-response.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { logFailure } from './log-failure.js'
import type { Awaitable } from './proxy-http.js'
import { Relay, hookError } from './relay.js'
import { Session } from './session.js'
import type { Attempt } from './session.js'

/**
 * Takes requests through their phases, each of which calls the next. A promise is waited for where a
 * hook or the network made one; a request whose hooks are synchronous and whose upstream connection
 * is pooled makes none.
 */
export class Pipeline<Ctx> implements AttemptOwner<Ctx> {
  readonly #hooks: Hooks<Ctx>
  readonly #context: PipelineContext
  readonly #attempts: AttemptRunner<Ctx>

  constructor(hooks: Hooks<Ctx>, context: PipelineContext) {
    this.#hooks = hooks
    this.#context = context
    this.#attempts = new AttemptRunner(hooks, context, this)
  }

  /** Serves one request to its end: the phases in their order. Never throws. */
  serve(downstream: DownstreamSession): void {
    const relay = this.#begin(downstream)
    if (relay !== null) this.#filterEarly(relay)
  }

  /** Before everything that could refuse the request, so that it can prepare all later phases. */
  #filterEarly(relay: Relay<Ctx>): void {
    try {
      const early = this.#hooks.earlyRequestFilter?.(relay.session, relay.ctx)
      const next = this.#hooks.modules === null ? this.#filterRequest : this.#filterByModules
      this.#next(relay, early, next)
    } catch (thrown) {
      void this.#fail(relay, hookError(thrown))
    }
  }

  /** What modules make of the request is what hooks see from here on. */
  readonly #filterByModules = (relay: Relay<Ctx>): void => {
    try {
      const { downstream } = relay
      const filtered = downstream instanceof ModuleSession ? downstream.filterRequest() : undefined
      this.#next(relay, filtered, this.#filterRequest)
    } catch (thrown) {
      void this.#fail(relay, hookError(thrown))
    }
  }

  /** Access control, routing and own answers: before any upstream is spent on the request. */
  readonly #filterRequest = (relay: Relay<Ctx>): void => {
    try {
      const verdict = this.#hooks.requestFilter?.(relay.session, relay.ctx)
      this.#next(relay, verdict, this.#obeyFilter)
    } catch (thrown) {
      void this.#fail(relay, hookError(thrown))
    }
  }

  /** A request that a filter has answered needs no upstream. */
  readonly #obeyFilter = (relay: Relay<Ctx>, verdict: FilterVerdict): void => {
    if (verdict !== 'responded') this.#choosePeer(relay)
    else if (relay.downstream.responseDone) this.#finish(relay, undefined)
    else void this.#fail(relay, new ProxyError('PGR_RESPONSE_ORDER', NOT_RESPONDED))
  }

  /** Runs once per attempt: a retry should go somewhere else. */
  #choosePeer(relay: Relay<Ctx>): void {
    try {
      // A client that left while a hook or a connect was awaited wants nothing any more.
      if (relay.clientError !== null) throw relay.clientError
      this.#next(relay, this.#hooks.upstreamPeer(relay.session, relay.ctx), this.#attempt)
    } catch (thrown) {
      void this.#fail(relay, hookError(thrown))
    }
  }

  /** Connects, sends, relays; then comes `attemptEnded` or `attemptThrew`. */
  readonly #attempt = (relay: Relay<Ctx>, peer: HttpPeer | undefined): void => {
    const { session } = relay
    if (peer === undefined) {
      // With nowhere else to go the failure that made us look is the better answer.
      void this.#fail(relay, session.attempts.at(-1)?.error ?? new ProxyError('PGR_NO_PEER'))
      return
    }
    const attempt: Attempt = { peer: peer.forClient(session.digest), reused: false, error: null }
    // Nearly always the first: an array of just that size, which `push` would not make.
    session.attempts = session.attempts.length === 0 ? [attempt] : [...session.attempts, attempt]
    this.#countAttempt(session.attempts.length)
    this.#attempts.start(relay, attempt)
  }

  /** The response is complete, or there may be another attempt, or the failure is final. */
  attemptEnded(relay: Relay<Ctx>, error: ProxyError | null): void {
    relay.session.attempts.at(-1)!.error = error
    if (error === null) this.#finish(relay, undefined)
    else if (this.#retries(relay, error)) this.#choosePeer(relay)
    else void this.#fail(relay, error)
  }

  attemptThrew(relay: Relay<Ctx>, error: ProxyError): void {
    void this.#fail(relay, error)
  }

  /** The final failure: its log line, and a response where one can still be given. Never rejects. */
  async #fail(relay: Relay<Ctx>, error: ProxyError): Promise<void> {
    const { session, ctx, downstream, clientError } = relay
    this.#context.counters.addError(error.code)
    logFailure(this.#hooks, this.#context.logger, session, ctx, error)
    const clientLeft = clientError !== null && clientError.status === CLIENT_LEFT
    if (downstream.headerWritten || clientLeft) {
      // What was begun cannot become an error response; cut, it cannot be taken for whole either.
      if (!downstream.responseDone) downstream.abort()
    } else {
      try {
        const answer = this.#hooks.failToProxy?.(session, error, ctx)
        const verdict = (isPromise(answer) ? await answer : answer) ?? {}
        this.#answerError(session, downstream, error, verdict)
      } catch (thrown) {
        this.#context.logger.error('failToProxy failed', { reason: hookError(thrown).message })
        this.#answerError(session, downstream, error, {})
      }
    }
    this.#finish(relay, error)
  }

  /** Last, so that the hook sees everything; before the connection goes on to its next request. */
  #finish(relay: Relay<Ctx>, error: ProxyError | undefined): void {
    this.#log(relay.session, error, relay.ctx)
    relay.downstream.finish()
  }

  /** Goes on with `phase` at once, or when the hook's promise is fulfilled. */
  #next<T>(
    relay: Relay<Ctx>,
    result: Awaitable<T>,
    phase: (relay: Relay<Ctx>, value: T) => void,
  ): void {
    if (!isPromise(result)) {
      phase(relay, result)
      return
    }
    result.then(
      (value) => {
        phase(relay, value)
      },
      (thrown: unknown) => {
        void this.#fail(relay, hookError(thrown))
      },
    )
  }

  /**
   * Makes the request's own state. Without it no hook can run: then the answer is 500, and `null`.
   * From here on the relay hears of everything that the client does, whatever phase it is.
   */
  #begin(downstream: DownstreamSession): Relay<Ctx> | null {
    const { modules } = this.#hooks
    try {
      const client = modules === null ? downstream : new ModuleSession(downstream, modules)
      const ctx = this.#hooks.newCtx()
      const { maxRetryBytes } = this.#context
      return new Relay(this.#hooks, this.#sessionOf(client), ctx, client, maxRetryBytes)
    } catch (thrown) {
      this.#context.logger.error('newCtx failed', { reason: hookError(thrown).message })
      this.#answerError(this.#sessionOf(downstream), downstream, hookError(thrown), {})
      downstream.finish()
      return null
    }
  }

  #sessionOf(downstream: DownstreamSession): Session {
    return new Session(downstream, this.#context.env.clock, this.#context.requestIds)
  }

  #countAttempt(attempts: number): void {
    this.#context.counters.count(ATTEMPTS)
    if (attempts > 1) this.#context.counters.add('retries')
  }

  /** Whether another attempt follows one that failed with `error`. */
  #retries(
    { session, downstream, clientError, isBodyKept }: Relay<Ctx>,
    error: ProxyError,
  ): boolean {
    const attempts = session.attempts.length
    if (error.retry !== 'yes' || attempts >= this.#context.maxAttempts) return false
    // What the client has seen cannot be taken back, and what was let go cannot be sent again.
    if (clientError !== null || downstream.headerWritten || !isBodyKept) return false
    const peer = session.attempts.at(-1)?.peer.address
    this.#context.logger.warn('retrying', {
      peer,
      attempts,
      code: error.code,
      reason: error.message,
    })
    return true
  }

  #answerError(
    session: Session,
    downstream: DownstreamSession,
    error: ProxyError,
    verdict: { readonly status?: number; readonly body?: string },
  ): void {
    if (downstream.headerWritten) return
    const status = verdict.status ?? error.status
    const isSent = Number.isInteger(status) && status >= 200 && status <= 999
    if (!isSent || status === CLIENT_LEFT) {
      downstream.abort()
      return
    }
    const { header, body } = failureResponse(session.reqHeader, error, status, verdict.body)
    downstream.writeHeader(header, body.length)
    downstream.writeBody(body, 0, body.length)
    downstream.writeEnd(null)
    session.responseHeader = header
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

/** What `requestFilter` decides. */
type FilterVerdict = 'continue' | 'responded' | undefined | void

const ATTEMPTS = counterSlot('attempts')
const NOT_RESPONDED = "requestFilter returned 'responded' without a response"
/** The status that stands for "the client left"; never sent. */
const CLIENT_LEFT = 499
