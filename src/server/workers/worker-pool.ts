/** `WorkerPool`: the threads that serve, as one service of the main thread. */
import { ProxyError, describeThrown } from '../../error/index.js'
import type { LogFields } from '../../observability/index.js'
import type { Libc } from '../../os/internal.js'
import { Sockets, loadLibc } from '../../os/internal.js'
import type {
  DescriptorNetwork,
  ListenOptions,
  Listener,
  ListeningSockets,
  SocketAddress,
  SocketsOfListener,
} from '../../transport/index.js'
import type { Service, ServiceContext, ServiceStopOptions } from '../service.js'
import type { AcceptMode } from './accept-mode.js'
import { Leases } from './leases.js'
import { WorkerHandle } from './worker-handle.js'
import type { WorkerEnd } from './worker-handle.js'
import type { Deal } from './worker-messages.js'

/** What a pool is made of. */
export interface WorkerPoolOptions {
  /** How many workers. */
  readonly threads: number
  /** How connections come to them. */
  readonly accept: AcceptMode
  /** The program's file, which every worker runs. */
  readonly entry: string
}

/**
 * Starts the workers, deals connections to them in turn, exactly evenly, or has them accept by
 * themselves, and puts another in the place of one that ends. Only the connections of that one are
 * lost: those that it had not taken over yet are dealt again.
 */
export class WorkerPool implements Service {
  readonly name = 'workers'
  readonly #options: WorkerPoolOptions
  readonly #workers: (WorkerHandle | null)[]
  /** Connections for which there is no worker at the moment. */
  #waiting: Deal[] = []
  readonly #accepting = new Set<Pick<Listener, 'close'>>()
  /** `null` while connections are dealt. */
  #leases: Leases | null = null
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
  check({ env }: ServiceContext): void {
    if (!env.network.listeningSockets) throw notAvailable()
  }

  /** Resolves when all workers are ready. @throws {@link ProxyError} `PGR_WORKER_FAILED` (rejects). */
  async start(context: ServiceContext): Promise<void> {
    this.check(context)
    const libc = loadLibc() ?? fail()
    const { accept, threads } = this.#options
    this.#context = context
    if (accept !== 'deal') this.#leases = new Leases(accept, threads, new Sockets(libc))
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

  /** Opens a listener whose connections go to the workers, for their listener `key`. */
  async listen(key: string, address: SocketAddress, options: ListenOptions): Promise<Listener> {
    this.#checkServed(key)
    const sockets = this.#sockets
    const { accept, threads } = this.#options
    const own = await sockets.listen(address, options, accept === 'reuseport' ? threads : 1)
    const accepting =
      this.#leases === null
        ? await this.#dealFrom(key, own, options)
        : this.#lease(this.#leases, key, own)
    this.#accepting.add(accepting)
    return {
      address: own[0].bound,
      close: () => {
        for (const socket of own) sockets.release(socket)
        this.#accepting.delete(accepting)
        return accepting.close()
      },
    }
  }

  /** Has this thread accept. */
  async #dealFrom(
    key: string,
    sockets: SocketsOfListener,
    options: ListenOptions,
  ): Promise<Pick<Listener, 'close'>> {
    const accepting = await Promise.all(
      sockets.map((socket) => {
        const { bound } = socket
        return this.#descriptors.accept(socket, options, (fd) => {
          this.#deal({ kind: 'deal', key, bound, fd })
        })
      }),
    )
    return {
      close: async () => {
        await Promise.all(accepting.map((each) => each.close()))
      },
    }
  }

  /** Has the workers accept. */
  #lease(leases: Leases, key: string, sockets: SocketsOfListener): Pick<Listener, 'close'> {
    const ready = this.#workers.filter((worker) => worker?.isReady === true)
    leases.add(key, sockets, ready as WorkerHandle[])
    return {
      close: () => {
        leases.remove(key)
        return Promise.resolve()
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
        worker.give(deal)
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
        this.#leases?.grantAll(worker)
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
    const goesOn = !this.#stopping && end.wasReady
    let dealtAgain = 0
    for (const message of end.unadopted) {
      if (goesOn && message.kind === 'deal') {
        this.#deal(message)
        dealtAgain++
      } else {
        this.#descriptors.discard(message.fd)
      }
    }
    if (goesOn) this.#replace(index, end, { connectionsLost: lost, dealtAgain })
  }

  /** A worker that keeps ending is started again ever more slowly, one that ran for long at once. */
  #replace(index: number, end: Omit<WorkerEnd, 'unadopted'>, losses: LogFields): void {
    const context = this.#context ?? fail()
    const { clock } = context.env
    const before = this.#backOffMs[index] ?? 0
    const delayMs =
      end.ranMs > STEADY_MS ? 0 : Math.min(Math.max(before * 2, MIN_DELAY_MS), MAX_DELAY_MS)
    this.#backOffMs[index] = delayMs
    context.logger.error(`worker ${index + 1} ended, starting another`, {
      reason: end.reason,
      ...losses,
      delayMs,
    })
    clock.schedule(delayMs, () => {
      if (!this.#stopping) this.#restart(index)
    })
  }

  #restart(index: number): void {
    const { logger } = this.#context ?? fail()
    this.#startWorker(index).ready.then(
      () => {
        logger.info(`worker ${index + 1} serves again`)
      },
      (thrown: unknown) => {
        const reason = describeThrown(thrown)
        if (!this.#stopping) this.#replace(index, { reason, wasReady: false, ranMs: 0 }, {})
      },
    )
  }
}

function notAvailable(): ProxyError {
  const needs = 'Linux, the package koffi, and a NodeNetwork without another io than its default'
  return new ProxyError('PGR_NOT_AVAILABLE', `threads above 1 need ${needs}`)
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
