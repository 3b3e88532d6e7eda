/** `WorkerPool`: the threads that serve, as one service of the main thread. */
import { ProxyError, describeThrown } from '../../error/index.js'
import type { Libc } from '../../os/internal.js'
import { Sockets, loadLibc } from '../../os/internal.js'
import type {
  DescriptorNetwork,
  ListenOptions,
  Listener,
  ListeningSockets,
  SocketAddress,
} from '../../transport/index.js'
import type { Service, ServiceContext, ServiceStopOptions } from '../service.js'
import { WorkerHandle } from './worker-handle.js'
import type { WorkerEnd } from './worker-handle.js'
import type { ToWorker } from './worker-messages.js'

type Deal = Extract<ToWorker, { kind: 'deal' }>

/** What a pool is made of. */
export interface WorkerPoolOptions {
  /** How many workers. */
  readonly threads: number
  /** The program's file, which every worker runs. */
  readonly entry: string
}

/**
 * Starts the workers, deals connections to them in turn, exactly evenly, and puts another in the place
 * of one that ends. Only the connections of that one are lost: those that it had not taken over yet
 * are dealt again.
 */
export class WorkerPool implements Service {
  readonly name = 'workers'
  readonly #options: WorkerPoolOptions
  readonly #workers: (WorkerHandle | null)[]
  /** Connections for which there is no worker at the moment. */
  #waiting: Deal[] = []
  readonly #accepting = new Set<{ close(): Promise<void> }>()
  #next = 0
  #context: ServiceContext | null = null
  #stopping = false
  readonly #backOffMs: number[]

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#workers = new Array<WorkerHandle | null>(options.threads).fill(null)
    this.#backOffMs = new Array<number>(options.threads).fill(0)
  }

  /** @throws {@link ProxyError} `PGR_NOT_AVAILABLE` where descriptors cannot go from thread to thread. */
  check(): void {
    if (loadLibc() === null) throw notAvailable()
  }

  /** Resolves when all workers are ready. @throws {@link ProxyError} `PGR_WORKER_FAILED` (rejects). */
  async start(context: ServiceContext): Promise<void> {
    this.check()
    this.#context = context
    await Promise.all(this.#workers.map((_, index) => this.#startWorker(index).ready))
  }

  /** Connections that are dealt by then are served to their end. */
  async stop(options: ServiceStopOptions = {}): Promise<void> {
    this.#stopping = true
    // First of all nothing more is dealt: a worker that has stopped takes nothing over.
    await Promise.all([...this.#accepting].map((listener) => listener.close()))
    await Promise.all(this.#workers.map(async (worker) => worker?.stop(options)))
  }

  async destroy(): Promise<void> {
    this.#stopping = true
    for (const { fd } of this.#waiting.splice(0)) this.#descriptors.discard(fd)
    await Promise.all(this.#workers.map(async (worker) => worker?.terminate()))
  }

  get #sockets(): ListeningSockets {
    return this.#context?.env.network.listeningSockets ?? fail()
  }

  get #descriptors(): DescriptorNetwork {
    return this.#context?.env.network.descriptors ?? fail()
  }

  /** Opens a listener whose connections are dealt to the workers, for their listener `key`. */
  async listen(key: string, address: SocketAddress, options: ListenOptions): Promise<Listener> {
    this.#checkServed(key)
    const sockets = this.#sockets
    const socket = await sockets.listen(address, options)
    const { bound } = socket
    const accepting = await this.#descriptors.accept(socket, options, (fd) => {
      this.#deal({ kind: 'deal', key, bound, fd })
    })
    this.#accepting.add(accepting)
    return {
      address: bound,
      close: () => {
        sockets.release(socket)
        this.#accepting.delete(accepting)
        return accepting.close()
      },
    }
  }

  /** @throws {@link ProxyError} `PGR_WORKER_FAILED` when a worker does not serve the listener. */
  #checkServed(key: string): void {
    for (const worker of this.#workers) {
      if (worker === null || worker.keys.includes(key)) continue
      const reason = `worker ${worker.index} does not serve it; all threads must add the same services in the same order`
      throw new ProxyError('PGR_WORKER_FAILED', `listener ${key}: ${reason}`)
    }
  }

  /** Gives a connection to the worker whose turn it is. */
  #deal(deal: Deal): void {
    for (let tries = 0; tries < this.#workers.length; tries++) {
      const worker = this.#workers[this.#next]
      this.#next = (this.#next + 1) % this.#workers.length
      if (worker?.isReady === true) {
        worker.deal(deal)
        return
      }
    }
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(deal)
    else this.#descriptors.discard(deal.fd)
  }

  #startWorker(index: number): WorkerHandle {
    const { entry, threads } = this.#options
    const context = this.#context ?? fail()
    const worker = new WorkerHandle({ index: index + 1, threads, entry, context })
    this.#workers[index] = worker
    worker.ready.then(
      () => {
        for (const deal of this.#waiting.splice(0)) this.#deal(deal)
      },
      () => undefined,
    )
    void worker.ended.then((end) => {
      this.#ended(index, worker, end)
    })
    return worker
  }

  #ended(index: number, worker: WorkerHandle, end: WorkerEnd): void {
    const libc: Libc = loadLibc() ?? fail()
    const ours = new Set(end.unadopted.map(({ fd }) => fd))
    const lost = worker.descriptors.closeAll(libc, new Sockets(libc), ours)
    this.#context?.env.sharedMemory.clearWorker(index + 1)
    this.#workers[index] = null
    if (this.#stopping || !end.wasReady) {
      for (const { fd } of end.unadopted) this.#descriptors.discard(fd)
      return
    }
    for (const deal of end.unadopted) this.#deal(deal)
    this.#replace(index, end, lost)
  }

  /** A worker that keeps ending is started again ever more slowly, one that ran for long at once. */
  #replace(index: number, end: WorkerEnd, lost: number): void {
    const context = this.#context ?? fail()
    const { clock } = context.env
    const before = this.#backOffMs[index] ?? 0
    const delayMs =
      end.ranMs > STEADY_MS ? 0 : Math.min(Math.max(before * 2, MIN_DELAY_MS), MAX_DELAY_MS)
    this.#backOffMs[index] = delayMs
    context.logger.error(`worker ${index + 1} ended, starting another`, {
      reason: end.reason,
      connectionsLost: lost,
      dealtAgain: end.unadopted.length,
      delayMs,
    })
    clock.schedule(delayMs, () => {
      if (!this.#stopping) this.#restart(index, end)
    })
  }

  #restart(index: number, before: WorkerEnd): void {
    const { logger } = this.#context ?? fail()
    this.#startWorker(index).ready.then(
      () => {
        logger.info(`worker ${index + 1} serves again`)
      },
      (thrown: unknown) => {
        const reason = describeThrown(thrown)
        if (!this.#stopping) this.#replace(index, { ...before, reason, ranMs: 0, unadopted: [] }, 0)
      },
    )
  }
}

function notAvailable(): ProxyError {
  return new ProxyError('PGR_NOT_AVAILABLE', 'threads above 1 need Linux and the package koffi')
}

function fail(): never {
  throw notAvailable()
}

/** Connections that wait while all workers are being started again. */
const MAX_WAITING = 4_096
/** A worker that ran for so long has not ended because of how it starts. */
const STEADY_MS = 10_000
const MIN_DELAY_MS = 100
const MAX_DELAY_MS = 5_000
