/** `TestWorld`: a network, a clock and chance of its own, in which the true proxy runs. */
import { describeThrown } from '../error/index.js'
import { Counters } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import type { ProxyHttp } from '../proxy/index.js'
import { ServerConf } from '../server/index.js'
import type { Service } from '../server/index.js'
import { ManualClock } from '../time/index.js'
import type { Environment } from '../transport/index.js'
import { MemoryNetwork } from '../transport/internal.js'
import type { LinkOptions } from '../transport/internal.js'
import { Driver, toError } from './driver.js'
import { History } from './history.js'
import { WorldLogger, logText } from './log.js'
import type { LogRecord } from './log.js'
import { PendingJobs } from './pending-jobs.js'
import { ScriptedUpstream } from './scripted-upstream.js'
import type { ScriptedUpstreamOptions } from './scripted-upstream.js'
import { SeededRandom } from './seeded-random.js'
import { TestClient, dialClient } from './test-client.js'
import type { TestClientOptions } from './test-client.js'
import { TestProxy } from './test-proxy.js'
import type { TestProxyOptions } from './test-proxy.js'
import { TrackedEnvironment } from './tracked-environment.js'
import type { RunningServices, WorldHandle } from './world-handle.js'
import { WorldServices } from './world-services.js'

/** What a {@link TestWorld} is made from. */
export interface TestWorldOptions {
  /** What decides all chance in the world; an integer from 0 to 2^32 - 1. Default: 1. */
  readonly seed?: number
  /** How bytes travel where nothing else is said. Default: at once, without limit. */
  readonly link?: LinkOptions
  /** IP addresses by name; other names cannot be resolved. Default: none. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  /**
   * Whether waits take into account what runs outside of JavaScript: zlib, crypto, files, names, and
   * callbacks of `setImmediate`. Off, a wait costs less, and such work comes at any time. Default: true.
   */
  readonly countsJobs?: boolean
  /** Whether events are written to `trace`. Off, a run costs less. Default: true. */
  readonly traces?: boolean
}

/**
 * A world in memory and in virtual time. Nothing in it happens unless somebody waits with `idle`,
 * `advance`, `until`, `run` or a request; then everything happens in an order that the seed alone
 * decides. `close` it at the end of the test.
 */
export class TestWorld implements WorldHandle {
  readonly clock: ManualClock = new ManualClock()
  readonly network: MemoryNetwork
  readonly random: SeededRandom
  readonly env: Environment
  readonly logger: Logger
  readonly counters: Counters = new Counters()
  readonly #log = new History<LogRecord>(MAX_LOG_RECORDS)
  readonly #trace = new History<string>(MAX_TRACE_LINES)
  readonly #traces: boolean
  readonly #jobs: PendingJobs | null
  readonly #driver: Driver
  readonly #tracked: TrackedEnvironment
  readonly #uncaught: unknown[] = []
  readonly #services: WorldServices[] = []
  readonly #closers = new Set<() => Promise<void> | void>()
  /** What the code under test left behind, as found when the world was closed. */
  #leaked: string[] | null = null
  #closed: Promise<void> | null = null

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` for a seed or a link that cannot be. */
  constructor(options: TestWorldOptions = {}) {
    const { seed = 1, link = {}, names = {}, countsJobs = true, traces = true } = options
    this.random = new SeededRandom(seed)
    this.#traces = traces
    const onUncaught = (thrown: unknown): void => {
      this.#onUncaught(thrown)
    }
    this.network = new MemoryNetwork({
      clock: this.clock,
      random: this.random.fork('network'),
      link,
      names,
      onUncaught,
      ...(traces && {
        trace: (line) => {
          this.note(line)
        },
      }),
    })
    this.#tracked = new TrackedEnvironment(this.clock, this.network, this.random.fork('env'))
    this.env = this.#tracked
    this.logger = new WorldLogger(
      () => this.clock.nowMs(),
      (record) => {
        this.#log.add(record)
        if (traces) this.note(logText(record))
      },
    )
    this.#jobs = countsJobs ? new PendingJobs() : null
    const report = (): string => this.#report()
    this.#driver = new Driver({ clock: this.clock, jobs: this.#jobs, onUncaught, report })
    this.#jobs?.start()
  }

  get log(): readonly LogRecord[] {
    return this.#log.entries
  }

  get logCount(): number {
    return this.#log.count
  }

  get trace(): readonly string[] {
    return this.#trace.entries
  }

  /** Calls of the clock that have been run: bytes that arrived, time-outs, everything. */
  get events(): number {
    return this.#driver.events
  }

  /** What handlers of connections and calls of the clock threw; each is in the log too. */
  get uncaught(): readonly unknown[] {
    return this.#uncaught
  }

  logSince(count: number): readonly LogRecord[] {
    return this.#log.since(count)
  }

  note(event: string): void {
    if (this.#traces) this.#trace.add(`${this.clock.nowMs()} ${event}`)
  }

  idle(): Promise<void> {
    return this.#driver.idle()
  }

  advance(ms: number): Promise<void> {
    return this.#driver.advance(ms)
  }

  until(
    condition: () => boolean,
    what: string = 'a condition',
    withinMs: number = 0,
  ): Promise<void> {
    return this.#driver.until(condition, what, withinMs)
  }

  when(
    condition: () => boolean,
    what: string = 'a condition',
    withinMs: number = Infinity,
  ): Promise<void> {
    return this.#driver.when(condition, what, withinMs)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.schedule(ms, resolve)
    })
  }

  run<T>(promise: PromiseLike<T>, withinMs: number = DEFAULT_RUN_MS): Promise<T> {
    return this.#driver.run(promise, withinMs)
  }

  fail(thrown: unknown): void {
    this.#driver.fail(thrown)
  }

  atClose(close: () => Promise<void> | void): () => void {
    this.#closers.add(close)
    return () => {
      this.#closers.delete(close)
    }
  }

  /** An upstream that listens on `address`, such as `10.0.0.1:80`, and answers as the test says. */
  upstream(address: string, options: ScriptedUpstreamOptions = {}): ScriptedUpstream {
    return new ScriptedUpstream(this, address, options)
  }

  /**
   * The true proxy service with `proxy` as its hooks, listening in this world.
   * @throws what it could not start for (rejects).
   */
  proxy<Ctx>(proxy: ProxyHttp<Ctx>, options: TestProxyOptions = {}): Promise<TestProxy> {
    return TestProxy.start(this, proxy, options)
  }

  /**
   * A client of whatever listens on `address`, such as a service that `serve` runs. Of a proxy made
   * by `proxy` its own `client` tells more.
   * @throws {@link ProxyError} (rejects) as `TestProxy.client`.
   */
  async client(address: string, options: TestClientOptions = {}): Promise<TestClient> {
    return new TestClient(this, await dialClient(this, address, options))
  }

  async serve(
    services: readonly Service[],
    configuration: ServerConf = new ServerConf(),
  ): Promise<RunningServices> {
    const { env, logger, counters } = this
    const running = new WorldServices(this, services, { env, configuration, logger, counters })
    this.#services.push(running)
    await this.run(running.started)
    return running
  }

  /**
   * What the code under test has open: connections, listeners, timers, time-outs. After `close` what
   * it did not close though its services had been ended; that must be nothing.
   */
  leftovers(): string[] {
    return this.#leaked ?? this.#tracked.leftovers()
  }

  /**
   * Ends all services at once, then upstreams and clients. Afterwards every wait rejects.
   * @throws what the test's own code failed with (rejects), when no wait has told it before.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    let fault = this.#driver.takeFault()
    try {
      // A start that failed was told by `serve`.
      for (const running of this.#services) await running.stop('immediate').catch(() => undefined)
      await this.idle()
      // Looked at now: the ends of the test, when they close, would close what was forgotten.
      this.#leaked = this.#tracked.leftovers()
      for (const close of [...this.#closers].reverse()) await close()
      await this.idle()
    } catch (thrown) {
      fault ??= toError(thrown)
    } finally {
      this.#driver.close()
      this.#jobs?.stop()
    }
    if (fault !== null) throw fault
  }

  /** As the handlers do that a server installs in its process. */
  #onUncaught(thrown: unknown): void {
    this.#uncaught.push(thrown)
    this.counters.add('uncaughtErrors')
    const stack = thrown instanceof Error ? thrown.stack : undefined
    this.logger.error(`uncaught exception: ${describeThrown(thrown)}`, { stack })
  }

  #report(): string {
    const lines = this.#log.entries.slice(-REPORTED_LOG_RECORDS)
    const logLines = lines.map((record) => `${record.atMs} ${logText(record)}`)
    return [
      `virtual time: ${this.clock.nowMs()} ms`,
      ...section('events', this.trace.slice(-REPORTED_TRACE_LINES), this.#trace.count),
      ...section('log lines', logLines, this.#log.count),
    ].join('\n')
  }
}

function section(name: string, lines: readonly string[], count: number): string[] {
  return [`last ${lines.length} of ${count} ${name}:`, ...lines.map((line) => `  ${line}`)]
}

/** Two minutes of virtual time: longer than each default time-out of the proxy. */
const DEFAULT_RUN_MS = 120_000
const MAX_LOG_RECORDS = 100_000
const MAX_TRACE_LINES = 100_000
const REPORTED_LOG_RECORDS = 10
const REPORTED_TRACE_LINES = 20
