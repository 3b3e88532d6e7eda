/** Whether this thread is a worker of ours, and what the main thread has given it. */
import { workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import type { LogLevel } from '../../observability/index.js'

/** What a worker is given. */
export interface WorkerStart {
  /** From 1. */
  readonly index: number
  /** The other end is the main thread's. */
  readonly port: MessagePort
  /** The fields of the main thread's `ServerConf`, so that no worker reads the file again. */
  readonly configuration: object
  /** Counts the connections that the worker has taken over; the main thread compares. */
  readonly adopted: SharedArrayBuffer
  /** Counts the log entries that it has handed on and the main thread has not written. */
  readonly unwritten: SharedArrayBuffer
  /** What `inheritFromMain` returns, in order. */
  readonly inherited: readonly unknown[]
  /** From which level on its log is wanted. */
  readonly logLevel: LogLevel
  /** The state of the main thread's `TicketKeys`. */
  readonly ticketKeys: string | undefined
  /** The memory of its `DescriptorTable`. */
  readonly descriptors: SharedArrayBuffer
}

/**
 * This thread's start, or `null` in the main thread. Not told by `isMainThread`: a program may start
 * threads of its own, and may run our server in one.
 */
export function thisWorker(): WorkerStart | null {
  const data: unknown = workerData
  if (typeof data !== 'object' || data === null || !(KEY in data)) return null
  return data[KEY] as WorkerStart
}

/** What the `workerData` of a worker must contain. */
export function workerStart(start: WorkerStart): Readonly<Record<string, WorkerStart>> {
  return { [KEY]: start }
}

const KEY = 'pingora-ts/worker'
