/** The life of a server's services: started in order, run until a stop is asked for, then ended. */
import { describeThrown } from '../error/index.js'
import type { PhaseCallback } from './execution-phase.js'
import { ServiceGraph } from './service-graph.js'
import type { ServiceNode } from './service-graph.js'
import type { Service, ServiceContext, ServiceStopOptions } from './service.js'
import { settlesWithin } from './settles-within.js'
import { startServices } from './start-services.js'
import type { StartupDelayHook } from './start-services.js'
import type { StopControl } from './stop-control.js'

/** What a run tells besides being ready. */
export interface RunWatch {
  /** Told of the phases of the stop, from the request on. Default: nobody is. */
  readonly onPhase?: PhaseCallback
  /** Told when a service had to wait long for its dependencies. Default: a line in the log. */
  readonly onStartupDelay?: StartupDelayHook
}

/**
 * Runs all services until `stop` is asked; returns when they have ended. A graceful stop waits for
 * work in flight, for the grace period of the configuration at most.
 * @param services with their dependencies, or as a list that has none.
 * @param onReady called once when all have started.
 * @throws what the first service that could not start threw; all others are ended by then. And
 * `PGR_OPTION_INVALID` for dependencies that form a circle; nothing has started then.
 */
export async function runServices(
  services: ServiceGraph | readonly Service[],
  context: ServiceContext,
  stop: StopControl,
  onReady: () => void,
  { onStartupDelay = logDelay(context), onPhase = ignorePhase }: RunWatch = {},
): Promise<void> {
  const graph = services instanceof ServiceGraph ? services : ServiceGraph.of(services)
  graph.check()
  try {
    const starting = startServices(graph, context, stop, onStartupDelay)
    // When a stop comes first, nobody waits for the start any more; it must not reject unhandled.
    starting.catch(() => undefined)
    await Promise.race([starting, stop.asked])
    if (stop.kind === null) {
      onReady()
      await stop.asked
    }
    if (stop.kind === 'graceful') onPhase('graceful-terminate')
    onPhase('shutdown-started')
    if (stop.kind !== 'immediate') await stopGracefully(graph, context, stop, onPhase)
  } finally {
    onPhase('shutdown-runtimes')
    await destroyServices(graph, context)
  }
}

function logDelay({ logger }: ServiceContext): StartupDelayHook {
  return (name, waitedMs) => {
    logger.info(`${name} waited ${Math.round(waitedMs)} ms for what it depends on`)
  }
}

function ignorePhase(): void {
  // Only a server has phases to watch.
}

async function stopGracefully(
  graph: ServiceGraph,
  context: ServiceContext,
  stop: StopControl,
  onPhase: PhaseCallback,
): Promise<void> {
  const { configuration, env, logger } = context
  const graceMs = configuration.gracePeriodSeconds * 1000
  const ended = stopServices(graph, context, { keepsIdle: stop.kind === 'upgrade' })
  onPhase('shutdown-grace-period')
  // Said only now, when no listener takes connections any more.
  logger.info(`stopping: work in flight has ${configuration.gracePeriodSeconds} s to end`)
  if (!(await settlesWithin(Promise.race([ended, stop.urgent]), graceMs, env.clock))) {
    logger.warn('the grace period is over: what is still in flight is cut')
  }
}

/**
 * Stops each service when all that depend on it have stopped. Those that started first are the last:
 * what the others still have in flight may need them.
 */
async function stopServices(
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
async function destroyServices(graph: ServiceGraph, context: ServiceContext): Promise<void> {
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
