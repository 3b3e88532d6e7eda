/** `ExecutionPhases`: where a server is in its life, for those who want to watch it. */
import { describeThrown } from '../error/index.js'
import type { Logger } from '../observability/index.js'

/**
 * Where a server is in its life, with Pingora's words. They come in this order; a failed upgrade
 * leads back to `running`, and a server that could not start goes on with `shutdown-runtimes`.
 *
 * - `setup`: made, and not bootstrapped.
 * - `bootstrap`: it takes signals over and, with `-u`, waits for the listeners of the old process.
 * - `bootstrap-complete`: bootstrapped; then `run` starts the services.
 * - `running`: all services have started.
 * - `graceful-upgrade-transferring-fds`: after SIGQUIT; the listeners go to the new process.
 * - `graceful-upgrade-close-timeout`: the new process has them and starts; both accept.
 * - `graceful-terminate`: a graceful stop was asked for, such as by SIGTERM.
 * - `shutdown-started`: a stop begins, of whatever kind.
 * - `shutdown-grace-period`: no connection is taken any more; work in flight may end. Not with an
 *   immediate stop.
 * - `shutdown-runtimes`: all services end now, with what is still in flight.
 * - `terminated`: nothing of the server is left in the process.
 */
export type ExecutionPhase =
  | 'setup'
  | 'bootstrap'
  | 'bootstrap-complete'
  | 'running'
  | 'graceful-upgrade-transferring-fds'
  | 'graceful-upgrade-close-timeout'
  | 'graceful-terminate'
  | 'shutdown-started'
  | 'shutdown-grace-period'
  | 'shutdown-runtimes'
  | 'terminated'

/** Told of a phase when it begins. */
export type PhaseCallback = (phase: ExecutionPhase) => void

/** The present phase, and those who are told of the next. */
export class ExecutionPhases {
  readonly #logger: Logger
  readonly #watchers = new Set<{ readonly callback: PhaseCallback }>()
  #current: ExecutionPhase = 'setup'

  constructor(logger: Logger) {
    this.#logger = logger
  }

  get current(): ExecutionPhase {
    return this.#current
  }

  /** Begins a phase, unless it is the present one. */
  enter(phase: ExecutionPhase): void {
    if (phase === this.#current) return
    this.#current = phase
    for (const { callback } of [...this.#watchers]) {
      try {
        callback(phase)
      } catch (thrown) {
        // Who only watches must not change the course of things.
        this.#logger.error(`watching the phase ${phase}: ${describeThrown(thrown)}`)
      }
    }
  }

  /** Has `callback` called at the beginning of each phase from now on. @returns ends that. */
  watch(callback: PhaseCallback): () => void {
    const watcher = { callback }
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }
}
