/** What the main thread and its workers say to each other. */
import type { AcceptingSocket, SocketAddress } from '../../transport/index.js'
import type { LogEntry } from './forwarding-logger.js'
import type { ServiceStopOptions } from '../service.js'

/** A connection for the listener `key`, bound at `bound`; the worker owns its descriptor now. */
export interface Deal {
  readonly kind: 'deal'
  readonly key: string
  readonly bound: SocketAddress
  readonly fd: number
}

/** A socket to accept on for the listener `key`; the worker owns its descriptor now. */
export interface Lease extends AcceptingSocket {
  readonly kind: 'accept'
  readonly key: string
}

/** From the main thread. */
export type ToWorker =
  | Deal
  | Lease
  /** Stop as a service does. */
  | { readonly kind: 'stop'; readonly options: ServiceStopOptions }

/** From a worker. */
export type FromWorker =
  /** All its services have started; these are the listeners that it serves. */
  | { readonly kind: 'ready'; readonly keys: readonly string[] }
  /** It could not start, and ends. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** A line for the log. */
  | { readonly kind: 'log'; readonly entry: LogEntry }

/** The name of one listener in all threads: they add the same services with the same listeners. */
export function listenerKey(service: number, name: string, listener: number): string {
  return `${service} ${name} ${listener}`
}
