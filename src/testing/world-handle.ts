/** `WorldHandle`: what peers, upstreams and proxies of a fake world may use of it. */
import type { Counters, Logger } from '../observability/index.js'
import type { ServerConf, Service, StopKind } from '../server/index.js'
import type { ManualClock } from '../time/index.js'
import type { Environment } from '../transport/index.js'
import type { MemoryNetwork } from '../transport/internal.js'
import type { LogRecord } from './log.js'
import type { SeededRandom } from './seeded-random.js'

/** Services that run in a fake world as a server would run them. */
export interface RunningServices {
  /** Resolves when all of them have ended; rejects when one could not start. Does not drive time. */
  readonly ended: Promise<void>
  /** Whether they have ended. */
  readonly hasEnded: boolean
  /**
   * Asks them to stop, as SIGTERM (`graceful`) and SIGINT (`immediate`) do, and lets time pass until
   * they have. Who asks twice is in a hurry: the second call is an immediate one. Default: `graceful`.
   */
  stop(kind?: StopKind): Promise<void>
}

/**
 * The part of a test world that its inhabitants need. Two kinds of waiting: `idle`, `advance`,
 * `until` and `run` *drive* the world and are for tests; `sleep` and `when` only wait, while
 * somebody else drives, and are for hooks and for the scripts of upstreams.
 */
export interface WorldHandle {
  /** The one clock of the world. */
  readonly clock: ManualClock
  /** The network that tests dial, listen and break; what is dialled through it is the test's own. */
  readonly network: MemoryNetwork
  /** Chance for the test itself; the network and the proxies have streams of their own. */
  readonly random: SeededRandom
  /** What the code under test gets; what is opened through it must be closed by it. */
  readonly env: Environment
  /** Writes to `log`. */
  readonly logger: Logger
  /** What the services of the world count. */
  readonly counters: Counters
  /** The newest log lines, oldest first. */
  readonly log: readonly LogRecord[]
  /** Log lines written so far, for {@link WorldHandle.logSince}. */
  readonly logCount: number
  /** The newest events, oldest first: `${atMs} ${event}`. */
  readonly trace: readonly string[]

  /** The lines written since `logCount` was `count`. */
  logSince(count: number): readonly LogRecord[]
  /** Adds `event` to the trace, with the virtual time. */
  note(event: string): void
  /** Resolves when nothing is left to do at this instant. */
  idle(): Promise<void>
  /** Lets `ms` pass, event by event; resolves when nothing is left to do at the new instant. */
  advance(ms: number): Promise<void>
  /**
   * Lets time pass until `condition` holds, looked at whenever an instant is over.
   * @param what it is, for the message of the error. Default: `a condition`.
   * @param withinMs how much time may pass. Default: 0, that is only this instant.
   * @throws an error (rejects) with `what`, the virtual time, the last events and log lines.
   */
  until(condition: () => boolean, what?: string, withinMs?: number): Promise<void>
  /**
   * As `until`, but does not drive: for scripts and hooks, which run because somebody else drives.
   * @param withinMs how much time may pass. Default: no limit.
   */
  when(condition: () => boolean, what?: string, withinMs?: number): Promise<void>
  /** Resolves `ms` later in virtual time; does not drive. Ends unsettled when the world closes. */
  sleep(ms: number): Promise<void>
  /** Lets time pass until `promise` settles, and returns what it does. Default: within 120 000 ms. */
  run<T>(promise: PromiseLike<T>, withinMs?: number): Promise<T>
  /** Runs services as a server does; resolves when all have started, as far as they come to it. */
  serve(services: readonly Service[], configuration?: ServerConf): Promise<RunningServices>
  /**
   * Says that the code of the test itself is at fault, such as a script that throws: every wait,
   * now and later, rejects with `thrown`.
   */
  fail(thrown: unknown): void
  /**
   * Has `close` called when the world closes; the last registered comes first.
   * @returns takes it back, for what was closed before.
   */
  atClose(close: () => Promise<void> | void): () => void
}
