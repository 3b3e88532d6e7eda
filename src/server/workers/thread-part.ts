/** `ThreadPart`: what one thread has of a service that several serve. */
import type { Service, ServiceContext, ServiceStopOptions } from '../service.js'
import { ThreadNetwork } from './thread-network.js'
import type { ListenInThread } from './thread-network.js'

/** Whether the workers serve it. */
export function isThreaded({ runsIn }: Service): boolean {
  return runsIn === 'threads'
}

/** The service as it is, but for how it listens: the main thread accepts, and each worker adopts. */
export class ThreadPart implements Service {
  readonly name: string
  readonly #service: Service
  readonly #index: number
  readonly #listen: ListenInThread

  /** @param index place of the service among those of the server, the same in all threads. */
  constructor(service: Service, index: number, listen: ListenInThread) {
    this.name = service.name
    this.#service = service
    this.#index = index
    this.#listen = listen
  }

  check(context: ServiceContext): Promise<void> | void {
    return this.#service.check?.(context)
  }

  start(context: ServiceContext): Promise<void> {
    const { env } = context
    const network = new ThreadNetwork(env.network, this.#index, this.name, this.#listen)
    return this.#service.start({ ...context, env: { ...env, network } })
  }

  stop(options?: ServiceStopOptions): Promise<void> {
    return this.#service.stop(options)
  }

  destroy(): Promise<void> | void {
    return this.#service.destroy()
  }
}
