/** The services of the main thread when workers serve. */
import { ServiceGraph } from '../service-graph.js'
import type { ListenInThread } from './thread-network.js'
import { ThreadPart, isThreaded } from './thread-part.js'
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
  const listen: ListenInThread = (key, address, options) => pool.listen(key, address, options)
  const handles = graph.replaceInto(whole, (service, index) =>
    isThreaded(service) ? new ThreadPart(service, index, listen) : service,
  )
  for (const [node, handle] of handles) {
    if (!isThreaded(node.service)) continue
    handle.addDependency(workers)
    for (const each of node.dependencies) {
      if (!isThreaded(each.service)) workers.addDependency(handles.get(each)!)
    }
  }
  return whole
}
