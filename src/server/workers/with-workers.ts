/** The services of the main thread when workers serve. */
import type { Service, ServiceContext } from '../service.js'
import { DealingNetwork } from './dealing-network.js'
import { WorkerPool } from './worker-pool.js'
import type { WorkerPoolOptions } from './worker-pool.js'

/**
 * Puts the workers before the services that run in them, of which the main thread has the listeners
 * alone. Without such a service there is no worker.
 */
export function withWorkers(services: readonly Service[], options: WorkerPoolOptions): Service[] {
  if (!services.some(({ runsIn }) => runsIn === 'threads')) return [...services]
  const pool = new WorkerPool(options)
  const own = services.map((service, index) =>
    service.runsIn === 'threads' ? new ListenersOnly(service, pool, index) : service,
  )
  return [pool, ...own]
}

/** A service whose connections others serve. */
class ListenersOnly implements Service {
  readonly name: string
  readonly #service: Service
  readonly #pool: WorkerPool
  readonly #index: number

  constructor(service: Service, pool: WorkerPool, index: number) {
    this.name = service.name
    this.#service = service
    this.#pool = pool
    this.#index = index
  }

  check(): Promise<void> | void {
    return this.#service.check?.()
  }

  start(context: ServiceContext): Promise<void> {
    const network = new DealingNetwork(context.env.network, this.#pool, this.#index, this.name)
    return this.#service.start({ ...context, env: { ...context.env, network } })
  }

  stop(): Promise<void> {
    return this.#service.stop()
  }

  destroy(): void {
    this.#service.destroy()
  }
}
