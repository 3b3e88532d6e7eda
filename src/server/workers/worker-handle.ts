/** `WorkerHandle`: one worker thread, as the main thread sees it. */
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { Logger } from '../../observability/index.js'
import { workerMemory } from '../../shared-memory/internal.js'
import { DescriptorTable } from '../../transport/internal.js'
import type { ServiceContext, ServiceStopOptions } from '../service.js'
import { inheritance } from './inheritance.js'
import { workerStart } from './this-worker.js'
import type { Deal, FromWorker, Lease, ToWorker } from './worker-messages.js'

/** What a worker is made of. */
export interface WorkerHandleOptions {
  /** From 1. */
  readonly index: number
  /** How many workers there are. */
  readonly threads: number
  readonly entry: string
  readonly context: ServiceContext
}

/** How a worker ended. */
export interface WorkerEnd {
  readonly reason: string
  readonly wasReady: boolean
  readonly ranMs: number
  /** What was given to it and not taken over. */
  readonly unadopted: readonly (Deal | Lease)[]
}

/** A worker from its start to its end. */
export class WorkerHandle {
  readonly index: number
  /** Resolves when it serves. Rejects with `PGR_WORKER_FAILED` when it ends before. */
  readonly ready: Promise<void>
  /** Resolves when its thread has ended. */
  readonly ended: Promise<WorkerEnd>
  /** What it has open. */
  readonly descriptors: DescriptorTable = new DescriptorTable()
  /** The listeners that it serves. */
  keys: readonly string[] = []
  isReady = false
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #logger: Logger
  readonly #adopted = new Int32Array(new SharedArrayBuffer(4))
  readonly #unwritten = new Int32Array(new SharedArrayBuffer(4))
  /** Given to it and, for all that was known, not adopted; with how many were before the first of them. */
  #given: (Deal | Lease)[] = []
  #adoptedBefore = 0
  #reason = ''
  #onReady: () => void = () => undefined

  constructor({ index, threads, entry, context }: WorkerHandleOptions) {
    this.index = index
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#logger = context.logger
    port1.on('message', (message: FromWorker) => {
      this.#receive(message)
    })
    const start = workerStart({
      index,
      port: port2,
      configuration: Object.assign({}, context.configuration),
      adopted: this.#adopted.buffer,
      unwritten: this.#unwritten.buffer,
      descriptors: this.descriptors.memory,
      inherited: inheritance(),
      logLevel: context.logger.level,
      ticketKeys: context.ticketKeys?.state,
    })
    this.#worker = new Worker(entry.startsWith('file:') ? new URL(entry) : entry, {
      argv: process.argv.slice(2),
      workerData: { ...workerMemory(index, threads, context.env.sharedMemory), ...start },
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    })
    const { clock } = context.env
    const begunMs = clock.nowMs()
    this.#worker.on('error', (thrown) => {
      this.#reason = describeThrown(thrown)
    })
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        // Its last words may still be on their way.
        for (let last; (last = receiveMessageOnPort(port1)) !== undefined;)
          this.#receive(last.message as FromWorker)
        port1.close()
        const wasReady = this.isReady
        this.isReady = false
        const how = wasReady ? `exit code ${code}` : `exit code ${code} before its run(); ${ADVICE}`
        const reason = this.#reason === '' ? how : this.#reason
        const ranMs = clock.nowMs() - begunMs
        resolve({ reason, wasReady, ranMs, unadopted: this.#unadopted() })
      })
    })
    this.ready = this.#untilReady(context)
  }

  /** Gives a descriptor away; it is ours again if the worker ends before it takes it over. */
  give(message: Deal | Lease): void {
    this.#given.push(message)
    this.#port.postMessage(message satisfies ToWorker)
    if (this.#given.length > FORGET_AFTER) this.#unadopted()
  }

  /** Resolves when its thread has ended. */
  async stop(options: ServiceStopOptions): Promise<void> {
    this.#port.postMessage({ kind: 'stop', options } satisfies ToWorker)
    await this.ended
  }

  /**
   * Ends its thread wherever that is. Resolves when it has ended.
   * @param reason why, for the log. Default: as it ends.
   */
  async terminate(reason: string = ''): Promise<void> {
    if (reason !== '') this.#reason = reason
    void this.#worker.terminate()
    await this.ended
  }

  /** Forgets what the worker has taken over since, which comes in the order in which it was given. */
  #unadopted(): readonly (Deal | Lease)[] {
    const adopted = Atomics.load(this.#adopted, 0)
    this.#given = this.#given.slice((adopted - this.#adoptedBefore) | 0)
    this.#adoptedBefore = adopted
    return this.#given
  }

  #untilReady({ env }: ServiceContext): Promise<void> {
    const timer = env.clock.schedule(START_MS, () => {
      void this.terminate(`it did not come to run() within ${START_MS / 1_000} s; ${ADVICE}`)
    })
    return new Promise((resolve, reject) => {
      this.#onReady = () => {
        timer.cancel()
        resolve()
      }
      void this.ended.then(({ reason }) => {
        timer.cancel()
        reject(new ProxyError('PGR_WORKER_FAILED', `worker ${this.index}: ${reason}`))
      })
    })
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'log') {
      Atomics.sub(this.#unwritten, 0, 1)
      const { level, message: text, fields } = message.entry
      this.#logger[level](text, { worker: this.index, ...fields })
    } else if (message.kind === 'failed') {
      this.#reason = message.reason
    } else {
      this.keys = message.keys
      this.isReady = true
      this.#onReady()
    }
  }
}

/** How long a worker gets to run the program up to its `run()`. */
const START_MS = 10_000
const ADVICE =
  'each thread runs the program from its file again: name the right one with runForever({ entry: import.meta.url })'
/**
 * When V8 finds a heap beyond its limit, Node grants 16 MB more, once, while it ends the worker; if
 * that is not enough, V8 ends the process. One collection moves at most what two semi-spaces hold,
 * of small objects and of large ones, into the old generation at once, and a semi-space is a third
 * of this. The defaults are 48 MB up to Node 22, 192 in Node 24, and 96 in Node 26.
 */
const YOUNG_MB = 24
/** The list of what was given is looked through after so many. */
const FORGET_AFTER = 256
