/** `WorldServices`: services that run in a fake world as in a server, without a process around. */
import type { Service, ServiceContext, StopKind } from '../server/index.js'
import { StopControl, runServices } from '../server/internal.js'
import type { RunningServices, WorldHandle } from './world-handle.js'

/** Runs services with the true code of the server: the same order of start, and of stop. */
export class WorldServices implements RunningServices {
  readonly ended: Promise<void>
  /** Resolves when all have started, or a stop came first; rejects when one could not start. */
  readonly started: Promise<void>
  readonly #world: Pick<WorldHandle, 'run'>
  readonly #stop = new StopControl()
  readonly #graceMs: number
  #hasEnded = false

  constructor(
    world: Pick<WorldHandle, 'run'>,
    services: readonly Service[],
    context: ServiceContext,
  ) {
    this.#world = world
    this.#graceMs = context.configuration.gracePeriodSeconds * 1000
    let onReady = (): void => undefined
    const ready = new Promise<void>((resolve) => {
      onReady = resolve
    })
    this.ended = runServices(services, context, this.#stop, onReady).finally(() => {
      this.#hasEnded = true
    })
    // A start that fails is told by `started`; nobody needs to look at `ended` too.
    this.ended.catch(() => undefined)
    this.started = Promise.race([ready, this.ended])
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  async stop(kind: StopKind = 'graceful'): Promise<void> {
    if (!this.#hasEnded) this.#stop.request(kind)
    await this.#world.run(this.ended, this.#graceMs + STOP_MARGIN_MS)
  }
}

/** What a stop may take beyond the grace period. */
const STOP_MARGIN_MS = 60_000
