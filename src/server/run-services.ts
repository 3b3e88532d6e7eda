/** The life of a server's services: started in order, run until a stop is asked for, then ended. */
import { describeThrown } from '../error/index.js'
import type { Clock } from '../time/index.js'
import type { Service, ServiceContext, ServiceStopOptions } from './service.js'
import type { StopControl } from './stop-control.js'

/**
 * Runs all services until `stop` is asked; returns when they have ended. A graceful stop waits for
 * work in flight, for the grace period of the configuration at most.
 * @param onReady called once when all have started.
 * @throws what the first service that could not start threw; all others are ended by then.
 */
export async function runServices(
  services: readonly Service[],
  context: ServiceContext,
  stop: StopControl,
  onReady: () => void,
): Promise<void> {
  try {
    const starting = startServices(services, context, stop)
    // When a stop comes first, nobody waits for the start any more; it must not reject unhandled.
    starting.catch(() => undefined)
    await Promise.race([starting, stop.asked])
    if (stop.kind === null) {
      onReady()
      await stop.asked
    }
    if (stop.kind !== 'immediate') await stopGracefully(services, context, stop)
  } finally {
    for (const service of services) destroyService(service, context)
  }
}

async function startServices(
  services: readonly Service[],
  context: ServiceContext,
  stop: StopControl,
): Promise<void> {
  const { first, later } = inOrder(services)
  const prepared = Promise.all(first.map((service) => service.start(context)))
  prepared.catch(() => undefined)
  // Without this wait backends that nobody has checked yet would get the first requests.
  const enough = Promise.race([prepared, stop.asked])
  if (first.length > 0 && !(await settlesWithin(enough, MAX_PREPARATION_MS, context.env.clock))) {
    context.logger.warn(`not all background services were ready within ${MAX_PREPARATION_MS} ms`)
  }
  for (const service of later) {
    if (stop.kind !== null) return
    await service.start(context)
  }
}

async function stopGracefully(
  services: readonly Service[],
  context: ServiceContext,
  stop: StopControl,
): Promise<void> {
  const { configuration, env, logger } = context
  const graceMs = configuration.gracePeriodSeconds * 1000
  const ended = stopServices(services, context, { keepsIdle: stop.kind === 'upgrade' })
  // Said only now, when no listener takes connections any more.
  logger.info(`stopping: work in flight has ${configuration.gracePeriodSeconds} s to end`)
  if (!(await settlesWithin(Promise.race([ended, stop.urgent]), graceMs, env.clock))) {
    logger.warn('the grace period is over: what is still in flight is cut')
  }
}

/** Listening services end first: what they still have in flight may need those in the background. */
async function stopServices(
  services: readonly Service[],
  context: ServiceContext,
  options: ServiceStopOptions,
): Promise<void> {
  const { first, later } = inOrder(services)
  for (const group of [later, first]) {
    const results = await Promise.allSettled(group.map(async (service) => service.stop(options)))
    for (const result of results) {
      if (result.status === 'rejected')
        context.logger.error(`stopping: ${describeThrown(result.reason)}`)
    }
  }
}

function destroyService(service: Service, { logger }: ServiceContext): void {
  try {
    service.destroy()
  } catch (thrown) {
    // One service that fails must not keep the others alive.
    logger.error(`ending ${service.name}: ${describeThrown(thrown)}`)
  }
}

function inOrder(services: readonly Service[]): { first: Service[]; later: Service[] } {
  return {
    first: services.filter((service) => service.startsFirst === true),
    later: services.filter((service) => service.startsFirst !== true),
  }
}

/** Whether `promise` settles in time; its rejection is the caller's. */
async function settlesWithin(
  promise: Promise<unknown>,
  maxMs: number,
  clock: Clock,
): Promise<boolean> {
  let expire = (): void => undefined
  const expired = new Promise<boolean>((resolve) => {
    expire = () => {
      resolve(false)
    }
  })
  const timer = clock.schedule(maxMs, expire)
  try {
    return await Promise.race([promise.then(() => true), expired])
  } finally {
    timer.cancel()
  }
}

/** How long listeners wait for the first round of health checks. */
const MAX_PREPARATION_MS = 1_000
