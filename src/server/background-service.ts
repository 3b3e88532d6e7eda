/** `backgroundService`: runs a task, such as health checks, beside the services that listen. */
import { describeThrown } from '../error/index.js'
import type { Logger } from '../observability/index.js'
import type { Service, ServiceContext } from './service.js'

/** What a background task gets. */
export interface BackgroundContext {
  /** Aborted when the server stops; the task should then end soon. */
  readonly signal: AbortSignal
  /** Where the task logs to. */
  readonly logger: Logger
  /** To be called when services that depend on the task may start; later calls do nothing. */
  readonly ready: () => void
}

/** A task that runs as long as the server. `LoadBalancer` is one. */
export interface BackgroundService {
  /** Runs the task; resolves when it is over. An end or a failure counts as ready too. */
  start(context: BackgroundContext): Promise<void>
}

/** A {@link Service} around a background task. */
export class GenBackgroundService<T extends BackgroundService> implements Service {
  readonly name: string
  readonly startsFirst: boolean = true
  /** The task. */
  readonly task: T
  readonly #abort = new AbortController()
  #ended: Promise<void> = Promise.resolve()

  constructor(name: string, task: T) {
    this.name = name
    this.task = task
  }

  /** Starts the task; resolves when it is ready. Never rejects: a failing task is only logged. */
  start({ logger }: ServiceContext): Promise<void> {
    return new Promise((ready) => {
      this.#ended = this.#run(logger, ready).finally(ready)
    })
  }

  stop(): Promise<void> {
    this.destroy()
    return this.#ended
  }

  destroy(): void {
    this.#abort.abort()
  }

  async #run(logger: Logger, ready: () => void): Promise<void> {
    try {
      await this.task.start({ signal: this.#abort.signal, logger, ready })
    } catch (thrown) {
      // Tasks that wait with the signal reject with its reason; that is their normal end.
      if (this.#abort.signal.aborted) return
      logger.error(`background service ${this.name} failed: ${describeThrown(thrown)}`)
    }
  }
}

/** Makes a service of a task; `task` of the result is the task given. */
export function backgroundService<T extends BackgroundService>(
  name: string,
  task: T,
): GenBackgroundService<T> {
  return new GenBackgroundService(name, task)
}
