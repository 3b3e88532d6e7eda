/** `Service`: one thing that a server runs, such as a proxy with its listeners. */
import type { Counters, Logger } from '../observability/index.js'
import type { Environment, TicketKeys } from '../transport/index.js'
import type { ServerConf } from './server-conf.js'

/** What a server gives to the services that it runs. */
export interface ServiceContext {
  /** Time, network and chance. */
  readonly env: Environment
  /** The server's settings. */
  readonly configuration: ServerConf
  /** Where the service logs to. */
  readonly logger: Logger
  /** Where the service counts. */
  readonly counters: Counters
  /**
   * The keys of session tickets: the same in all threads, and in the process of the next upgrade.
   * Default: each listener has its own.
   */
  readonly ticketKeys?: TicketKeys
  /** 0 in the main thread, from 1 in the workers. Default: 0. */
  readonly thread?: number
}

/** How a service stops. */
export interface ServiceStopOptions {
  /** Whether idle clients keep their connections until their next answer. Default: false. */
  readonly keepsIdle?: boolean
}

/** One thing that a server starts, stops and checks. Its calls come in the order below. */
export interface Service {
  /** Name for messages. */
  readonly name: string
  /**
   * Started before the services without it, which wait until all of these are ready, but at most
   * one second; together with all that it depends on. For tasks that others need, such as health
   * checks. Default: false.
   */
  readonly startsFirst?: boolean
  /**
   * With `threads` above 1: in every worker thread, for what serves connections, or once, in the main
   * thread. Default: `main`.
   */
  readonly runsIn?: 'main' | 'threads'
  /**
   * For `-t`: throws or rejects when the service could not start, and logs what is worth a warning.
   * Must not bind or connect.
   */
  check?(context: ServiceContext): Promise<void> | void
  /** Resolves when the service is ready, such as listening; a rejection ends the server's start. */
  start(context: ServiceContext): Promise<void>
  /**
   * Takes no new work, and resolves when the work in flight is done. May come during `start`.
   */
  stop(options?: ServiceStopOptions): Promise<void>
  /**
   * Ends all work now. Also called after `stop`, and when another service could not start. A promise
   * that it returns is waited for, one second at most.
   */
  destroy(): Promise<void> | void
}
