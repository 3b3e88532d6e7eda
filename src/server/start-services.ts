/** Starts the services of a server: each when all that it depends on is ready. */
import { describeThrown } from '../error/index.js'
import type { ServiceGraph, ServiceNode } from './service-graph.js'
import type { ServiceContext } from './service.js'
import { settlesWithin } from './settles-within.js'
import type { StopControl } from './stop-control.js'

/** Told when a service had to wait for its dependencies, and how long. */
export type StartupDelayHook = (name: string, waitedMs: number) => void

/** Says it in the log. */
export function logStartupDelay({ logger }: ServiceContext): StartupDelayHook {
  return (name, waitedMs) => {
    logger.info(`${name} waited ${Math.round(waitedMs)} ms for what it depends on`)
  }
}

/**
 * Starts all services; resolves when they have started, or a stop is asked for. Those with
 * `startsFirst`, and all that these depend on, start side by side, and get one second before the
 * others follow. Those start one after the other, where none holds up the next by waiting for what
 * it depends on.
 * @throws what the first service that could not start threw (rejects); no other starts after it.
 */
export function startServices(
  graph: ServiceGraph,
  context: ServiceContext,
  stop: StopControl,
  onStartupDelay: StartupDelayHook,
): Promise<void> {
  return new ServiceStart(graph, context, stop, onStartupDelay).run()
}

/** One start of all services. */
class ServiceStart {
  readonly #graph: ServiceGraph
  readonly #context: ServiceContext
  readonly #stop: StopControl
  readonly #onStartupDelay: StartupDelayHook
  readonly #begun = new Map<ServiceNode, Promise<void>>()
  readonly #ready = new Set<ServiceNode>()
  /** Rejects when a service could not start. */
  readonly #failure: Promise<never>
  #fail: (reason: unknown) => void = () => undefined
  #state: 'starting' | 'started' | 'failed' = 'starting'

  constructor(
    graph: ServiceGraph,
    context: ServiceContext,
    stop: StopControl,
    onStartupDelay: StartupDelayHook,
  ) {
    this.#graph = graph
    this.#context = context
    this.#stop = stop
    this.#onStartupDelay = onStartupDelay
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#failure.catch(() => undefined)
  }

  async run(): Promise<void> {
    await Promise.race([this.#startAll(), this.#failure])
    this.#state = 'started'
  }

  async #startAll(): Promise<void> {
    const { first, later } = this.#graph.groups
    if (first.length > 0) await this.#prepare(first)
    const waiting: Promise<void>[] = []
    for (const node of later) {
      if (this.#isOver) return
      const started = this.#start(node)
      if (this.#unready(node).length === 0) await started
      else waiting.push(started)
    }
    await Promise.all(waiting)
  }

  /** Without this wait backends that nobody has checked yet would get the first requests. */
  async #prepare(first: readonly ServiceNode[]): Promise<void> {
    const prepared = Promise.all(first.map((node) => this.#start(node)))
    if (await this.#settles(prepared, MAX_PREPARATION_MS)) return
    const { logger } = this.#context
    logger.warn(`not all background services were ready within ${MAX_PREPARATION_MS} ms`)
  }

  /** Starts a service, and before it what it depends on; once, however often it is asked for. */
  #start(node: ServiceNode): Promise<void> {
    let begun = this.#begun.get(node)
    if (begun === undefined) {
      begun = this.#startInTurn(node)
      begun.catch((thrown: unknown) => {
        this.#failed(node, thrown)
      })
      this.#begun.set(node, begun)
    }
    return begun
  }

  async #startInTurn(node: ServiceNode): Promise<void> {
    if (node.dependencies.size > 0) await this.#waitForDependencies(node)
    if (this.#isOver) return
    await node.service.start(this.#context)
    this.#ready.add(node)
  }

  async #waitForDependencies(node: ServiceNode): Promise<void> {
    const { env, logger } = this.#context
    const begunMs = env.clock.nowMs()
    const ready = Promise.all([...node.dependencies].map((each) => this.#start(each)))
    if (await this.#settles(ready, LONG_WAIT_MS)) return
    const names = this.#unready(node).map(({ name }) => name)
    logger.warn(`${node.name} waits for ${names.join(', ')}`)
    await Promise.race([ready, this.#stop.asked, this.#failure])
    if (!this.#isOver) this.#onStartupDelay(node.name, env.clock.nowMs() - begunMs)
  }

  /** Whether `promise` settles in time; an end of the start counts as well. */
  #settles(promise: Promise<unknown>, maxMs: number): Promise<boolean> {
    const settled = Promise.race([promise, this.#stop.asked, this.#failure])
    return settlesWithin(settled, maxMs, this.#context.env.clock)
  }

  #unready(node: ServiceNode): ServiceNode[] {
    return [...node.dependencies].filter((dependency) => !this.#ready.has(dependency))
  }

  get #isOver(): boolean {
    return this.#state === 'failed' || this.#stop.kind !== null
  }

  #failed({ name }: ServiceNode, reason: unknown): void {
    if (this.#state === 'starting') {
      this.#state = 'failed'
      this.#fail(reason)
    } else if (this.#state === 'started' && this.#stop.kind === null) {
      // One that starts first may take longer than the start of all; the others serve by now.
      this.#context.logger.error(`${name} could not start: ${describeThrown(reason)}`)
    }
  }
}

/** How long listeners wait for the first round of health checks. */
const MAX_PREPARATION_MS = 1_000
/** When a wait for dependencies is worth a line in the log. */
const LONG_WAIT_MS = 1_000
