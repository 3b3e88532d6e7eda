/** Stops the services of a server: each when all that depend on it have stopped. */
import { describeThrown } from '../error/index.js'
import type { ServiceGraph, ServiceNode } from './service-graph.js'
import type { Service, ServiceContext, ServiceStopOptions } from './service.js'
import { settlesWithin } from './settles-within.js'

/**
 * Stops each service when all that depend on it have stopped. Those that started first are the last:
 * what the others still have in flight may need them.
 */
export async function stopServices(
  graph: ServiceGraph,
  context: ServiceContext,
  options: ServiceStopOptions,
): Promise<void> {
  const { first, later } = graph.groups
  const begun = new Map<ServiceNode, Promise<void>>()
  const stop = (node: ServiceNode): Promise<void> => {
    const stopping = begun.get(node) ?? stopInTurn(node)
    begun.set(node, stopping)
    return stopping
  }
  const stopInTurn = async (node: ServiceNode): Promise<void> => {
    const before = [...node.dependents, ...(first.includes(node) ? later : [])]
    if (before.length > 0) await Promise.all(before.map(stop))
    try {
      await node.service.stop(options)
    } catch (thrown) {
      context.logger.error(`stopping: ${describeThrown(thrown)}`)
    }
  }
  await Promise.all([...later, ...first].map(stop))
}

/** All at once; what takes longer than a moment, such as the end of a thread, is not waited for. */
export async function destroyServices(graph: ServiceGraph, context: ServiceContext): Promise<void> {
  const ending = graph.dependentsFirst.map(({ service }) => destroyService(service, context))
  const { env, logger } = context
  if (await settlesWithin(Promise.all(ending), MAX_DESTROY_MS, env.clock)) return
  logger.warn(`not all services had ended within ${MAX_DESTROY_MS} ms`)
}

async function destroyService(service: Service, { logger }: ServiceContext): Promise<void> {
  try {
    await service.destroy()
  } catch (thrown) {
    // One service that fails must not keep the others alive.
    logger.error(`ending ${service.name}: ${describeThrown(thrown)}`)
  }
}

/** Beyond it the caller may go on with something that still ends. */
const MAX_DESTROY_MS = 1_000
