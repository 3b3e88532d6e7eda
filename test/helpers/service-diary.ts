/** Services that only write down what happens to them, in a world of their own. */
import type { TestContext } from 'node:test'
import { SILENT_LOGGER } from '../../src/observability/index.js'
import { ServerConf } from '../../src/server/index.js'
import type { Service, ServiceContext } from '../../src/server/index.js'
import { StopControl } from '../../src/server/internal.js'
import type { TestWorld } from '../../src/testing/index.js'
import { testWorld } from './test-world.js'

/** What a run of services needs, and a diary of what happened. */
export interface ServiceDiary {
  readonly world: TestWorld
  readonly context: ServiceContext
  /** What services did, and what was logged as a warning or an error. */
  readonly diary: string[]
  /** Makes a service that only writes into the diary, but for `parts`. */
  readonly service: (name: string, parts?: Partial<Service>) => Service
  readonly stop: StopControl
}

/** What never settles. */
export const NEVER = new Promise<never>(() => undefined)

/** Starts a diary. */
export function serviceDiary(
  t: TestContext,
  options: { readonly gracePeriodSeconds?: number } = {},
): ServiceDiary {
  const world = testWorld(t)
  const { env, counters } = world
  const diary: string[] = []
  const context: ServiceContext = {
    env,
    configuration: new ServerConf(options),
    logger: {
      ...SILENT_LOGGER,
      warn: (message) => diary.push(`warn: ${message}`),
      error: (message) => diary.push(`error: ${message}`),
    },
    counters,
  }
  const stop = new StopControl()
  const service = (name: string, parts: Partial<Service> = {}): Service => ({
    name,
    start: () => {
      diary.push(`${name} starts`)
      return Promise.resolve()
    },
    stop: () => {
      diary.push(`${name} stops`)
      return Promise.resolve()
    },
    destroy: () => {
      diary.push(`${name} ends`)
    },
    ...parts,
  })
  return { world, context, diary, service, stop }
}
