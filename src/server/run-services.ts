/** The life of a server's services: started in order, run until a stop is asked for, then ended. */
import type { PhaseCallback } from './execution-phase.js'
import { ServiceGraph } from './service-graph.js'
import type { Service, ServiceContext } from './service.js'
import { settlesWithin } from './settles-within.js'
import { logStartupDelay, startServices } from './start-services.js'
import type { StartupDelayHook } from './start-services.js'
import type { StopControl } from './stop-control.js'
import { destroyServices, stopServices } from './stop-services.js'

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
  { onStartupDelay = logStartupDelay(context), onPhase = ignorePhase }: RunWatch = {},
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
