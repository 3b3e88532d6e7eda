/** The life of a request, phase by phase, from its parsed head to its log line. */
import { ProxyError } from '../error/index.js'
import type { DownstreamSession } from '../session/index.js'
import { AttemptRunner } from './attempt-runner.js'
import type { PipelineContext } from './attempt-runner.js'
import { statusResponse } from './error-response.js'
import { isPromise } from './hooks.js'
import type { Hooks } from './hooks.js'
import { logFailure } from './log-failure.js'
import { Relay, hookError } from './relay.js'
import { Session } from './session.js'
import type { Attempt } from './session.js'

/**
 * Takes requests through their phases. `await` stands only where a hook or the network made a
 * promise: a request whose hooks are synchronous and whose upstream connection is pooled waits once,
 * for its response.
 */
export class Pipeline<Ctx> {
  readonly #hooks: Hooks<Ctx>
  readonly #context: PipelineContext
  readonly #attempts: AttemptRunner<Ctx>

  constructor(hooks: Hooks<Ctx>, context: PipelineContext) {
    this.#hooks = hooks
    this.#context = context
    this.#attempts = new AttemptRunner(hooks, context)
  }

  /** Serves one request to its end: the phases in their order. Never rejects. */
  async serve(downstream: DownstreamSession): Promise<void> {
    const hooks = this.#hooks
    const session = new Session(downstream, this.#context.env.clock)
    // From here on the relay hears of everything that the client does, whatever phase it is.
    const relay = this.#begin(session, downstream)
    if (relay === null) return
    const { ctx } = relay
    let failure: ProxyError | undefined
    try {
      // Before everything that could refuse the request, so that it can prepare all later phases.
      const early = hooks.earlyRequestFilter?.(session, ctx)
      if (isPromise(early)) await early

      // Access control, routing and own answers: before any upstream is spent on the request.
      const verdict = hooks.requestFilter?.(session, ctx)
      const responded = (isPromise(verdict) ? await verdict : verdict) === 'responded'
      if (responded) assertResponded(downstream)

      // One turn per attempt. Choosing the peer is part of it: a retry should go somewhere else.
      while (!responded) {
        // A client that left while a hook or a connect was awaited wants nothing any more.
        if (relay.clientError !== null) throw relay.clientError

        const choice = hooks.upstreamPeer(session, ctx)
        const peer = isPromise(choice) ? await choice : choice
        // With nowhere else to go the failure that made us look is the better answer.
        if (peer === undefined)
          throw session.attempts.at(-1)?.error ?? new ProxyError('PGR_NO_PEER')

        const attempt: Attempt = { peer, reused: false, error: null }
        this.#countAttempt(session.attempts.push(attempt))
        attempt.error = await this.#attempts.run(session, relay, attempt)
        if (attempt.error === null) break
        if (!this.#retries(session, relay, downstream, attempt.error)) throw attempt.error
      }
    } catch (thrown) {
      failure = hookError(thrown)
      await this.#failToProxy(session, downstream, relay, failure)
    }
    // Last, so that the hook sees everything; before the connection goes on to its next request.
    this.#log(session, failure, ctx)
    downstream.finish()
  }

  /** Makes the request's own state. Without it no hook can run: then the answer is 500, and `null`. */
  #begin(session: Session, downstream: DownstreamSession): Relay<Ctx> | null {
    try {
      const ctx = this.#hooks.newCtx()
      return new Relay(this.#hooks, session, ctx, downstream, this.#context.maxRetryBytes)
    } catch (thrown) {
      this.#context.logger.error('newCtx failed', { reason: hookError(thrown).message })
      this.#answerError(session, downstream, hookError(thrown), {})
      downstream.finish()
      return null
    }
  }

  #countAttempt(attempts: number): void {
    this.#context.counters.add('attempts')
    if (attempts > 1) this.#context.counters.add('retries')
  }

  /** Whether another attempt follows one that failed with `error`. */
  #retries(
    session: Session,
    relay: Relay<Ctx>,
    downstream: DownstreamSession,
    error: ProxyError,
  ): boolean {
    const attempts = session.attempts.length
    if (error.retry !== 'yes' || attempts >= this.#context.maxAttempts) return false
    // What the client has seen cannot be taken back, and what was let go cannot be sent again.
    if (relay.clientError !== null || downstream.headerWritten || !relay.isBodyKept) return false
    const peer = session.attempts.at(-1)?.peer.address
    this.#context.logger.warn('retrying', {
      peer,
      attempts,
      code: error.code,
      reason: error.message,
    })
    return true
  }

  /** The final failure: its log line, and a response where one can still be given. */
  async #failToProxy(
    session: Session,
    downstream: DownstreamSession,
    relay: Relay<Ctx>,
    error: ProxyError,
  ): Promise<void> {
    const { ctx } = relay
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
    const isSent = Number.isInteger(status) && status >= 200 && status <= 999
    if (!isSent || status === CLIENT_LEFT) {
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

/** A hook that says it has answered must have done so, completely. */
function assertResponded(downstream: DownstreamSession): void {
  if (downstream.responseDone) return
  throw new ProxyError(
    'PGR_RESPONSE_ORDER',
    "requestFilter returned 'responded' without a response",
  )
}

/** The status that stands for "the client left"; never sent. */
const CLIENT_LEFT = 499
