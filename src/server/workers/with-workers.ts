/** The services of the main thread when workers serve. */
import { ServiceGraph } from '../service-graph.js'
import type { ServiceHandle, ServiceNode } from '../service-graph.js'
import type { Service, ServiceContext } from '../service.js'
import { ThreadNetwork } from './thread-network.js'
import { WorkerPool } from './worker-pool.js'
import type { WorkerPoolOptions } from './worker-pool.js'

/**
 * Adds the workers before the services that run in them, of which the main thread has the listeners
 * alone. The workers start when everything is ready that those services depend on in the main
 * thread. Without such a service there is no worker.
 */
export function withWorkers(graph: ServiceGraph, options: WorkerPoolOptions): ServiceGraph {
  if (!graph.services.some(isThreaded)) return graph
  const whole = new ServiceGraph()
  const pool = new WorkerPool(options)
  const workers = whole.add(pool)
  const handles = new Map<ServiceNode, ServiceHandle>()
  for (const [index, node] of graph.nodes.entries()) {
    const { service } = node
    const own = isThreaded(service) ? new ListenersOnly(service, pool, index) : service
    handles.set(node, whole.add(own))
  }
  for (const [node, handle] of handles) {
    const dependencies = [...node.dependencies].map((each) => handles.get(each)!)
    handle.addDependencies(dependencies)
    if (!isThreaded(node.service)) continue
    handle.addDependency(workers)
    for (const each of node.dependencies) {
      if (!isThreaded(each.service)) workers.addDependency(handles.get(each)!)
    }
  }
  return whole
}

function isThreaded({ runsIn }: Service): boolean {
  return runsIn === 'threads'
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

  check(context: ServiceContext): Promise<void> | void {
    return this.#service.check?.(context)
  }

  start(context: ServiceContext): Promise<void> {
    const { network: all } = context.env
    const network = new ThreadNetwork(all, this.#index, this.name, (key, address, options) =>
      this.#pool.listen(key, address, options),
    )
    return this.#service.start({ ...context, env: { ...context.env, network } })
  }

  stop(): Promise<void> {
    return this.#service.stop()
  }

  destroy(): Promise<void> | void {
    return this.#service.destroy()
  }
}
