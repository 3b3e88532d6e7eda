/** `withDeadline`: bounds work that is not ours, such as a user's discovery, in time. */
import type { ProxyError } from '../error/index.js'
import type { Environment } from '../transport/index.js'

/** How long the work may take and who may end it. */
export interface DeadlineOptions {
  readonly env: Environment
  /** Longest time, in ms. */
  readonly timeoutMs: number
  /** Ends the work early; the result is then the signal's reason. */
  readonly signal: AbortSignal
  /** What the work fails with when it takes too long. */
  readonly timeoutError: () => ProxyError
}

/**
 * Runs `work` with a signal of its own. Settles as the work does, but not later than its deadline
 * or the outer signal, even if the work listens to neither; then its late result is dropped.
 */
export function withDeadline<T>(
  options: DeadlineOptions,
  work: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T> {
  const { env, timeoutMs, signal, timeoutError } = options
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController()
    const give = <V>(settle: (value: V) => void, value: V): void => {
      deadline.dispose()
      signal.removeEventListener('abort', onAbort)
      settle(value)
    }
    const giveUp = (reason: unknown): void => {
      give(reject, reason)
      controller.abort(reason)
    }
    const onAbort = (): void => {
      giveUp(signal.reason)
    }
    const deadline = env.deadlines.deadline(() => {
      giveUp(timeoutError())
    })
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    deadline.set(timeoutMs)
    // Through a promise, so that a throw and a rejection are the same.
    Promise.resolve(controller.signal)
      .then(work)
      .then(
        (value) => {
          give(resolve, value)
        },
        (error: unknown) => {
          give(reject, error)
        },
      )
  })
}
