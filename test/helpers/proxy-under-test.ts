/** The true proxy over real loopback sockets and a clock that only the test moves. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { ProxyError } from '../../src/error/index.js'
import { Counters } from '../../src/observability/index.js'
import type { LogFields, LogLevel, Logger } from '../../src/observability/index.js'
import { httpProxyService } from '../../src/proxy/index.js'
import type { HttpProxyService, HttpProxyServiceOptions } from '../../src/proxy/index.js'
import type { ProxyHttp, Session } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import type { ServerConfOptions } from '../../src/server/index.js'
import { DeadlineWheel, ManualClock } from '../../src/time/index.js'
import { HttpPeer, NodeNetwork, formatAddress } from '../../src/transport/index.js'
import type {
  Connection,
  DialOptions,
  ListenOptions,
  Listener,
  PeerOptions,
  SocketAddress,
} from '../../src/transport/index.js'
import { Guard, RawPeer } from './raw-peer.js'
import { ScriptedUpstream } from './scripted-upstream.js'
import { settle } from './settle.js'

/** What a proxy under test is made from; hooks not given do nothing. */
export interface ProxyUnderTestOptions {
  readonly hooks?: Partial<ProxyHttp<unknown>>
  readonly options?: HttpProxyServiceOptions
  readonly conf?: ServerConfOptions
  /** How the upstream is reached by the `upstreamPeer` that is used when the hooks have none. */
  readonly peer?: PeerOptions
  /** Whether requests may go without their `logging` hook. Default: false. */
  readonly skipsLogging?: boolean
  /** Whether TCP goes past `net.Socket` where this Node allows it. Default: true. */
  readonly usesHandles?: boolean
}

/** One log line of the proxy. */
export interface LogLine {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

/** What the `logging` hook was told. */
export interface Logged {
  readonly session: Session
  readonly error: ProxyError | undefined
}

/** A proxy with one scripted upstream; after the test nothing of it may be open. */
export class ProxyUnderTest {
  readonly upstream: ScriptedUpstream
  readonly clock: ManualClock
  readonly network: WatchedNetwork
  readonly counters: Counters = new Counters()
  /** What the log says. */
  readonly lines: LogLine[] = []
  /** One entry per call of `logging`. */
  readonly logged: Logged[] = []
  /** What escaped from a connection's handler; must stay empty. */
  readonly uncaught: unknown[] = []
  readonly service: HttpProxyService<unknown>
  readonly #clients: RawPeer[] = []
  readonly #others: ScriptedUpstream[] = []
  readonly #settings: ProxyUnderTestOptions

  private constructor(upstream: ScriptedUpstream, settings: ProxyUnderTestOptions) {
    this.upstream = upstream
    this.#settings = settings
    this.clock = new ManualClock()
    this.network = new WatchedNetwork(this.clock, this.uncaught, settings.usesHandles ?? true)
    const { hooks = {}, conf, options } = settings
    const proxy: ProxyHttp<unknown> = {
      newCtx: () => ({}),
      upstreamPeer: () => this.peer(),
      ...hooks,
      logging: (session, error, ctx) => {
        this.logged.push({ session, error })
        return hooks.logging?.(session, error, ctx)
      },
    }
    this.service = httpProxyService(new ServerConf(conf), proxy, options)
    this.service.addTcp('127.0.0.1:0')
  }

  /** A proxy that listens, in front of an upstream that listens. */
  static async start(
    t: TestContext,
    settings: ProxyUnderTestOptions = {},
  ): Promise<ProxyUnderTest> {
    const proxy = new ProxyUnderTest(await ScriptedUpstream.listen(), settings)
    t.after(() => proxy.#end())
    await proxy.#start()
    return proxy
  }

  /** The port that clients connect to. */
  get port(): number {
    return Number(this.service.addresses[0]?.split(':')[1])
  }

  /** A new client connection. */
  async client(): Promise<RawPeer> {
    const client = await RawPeer.connect(this.port)
    this.#clients.push(client)
    return client
  }

  /** A second upstream. */
  async anotherUpstream(): Promise<ScriptedUpstream> {
    const upstream = await ScriptedUpstream.listen()
    this.#others.push(upstream)
    return upstream
  }

  /** A peer of the upstream, or of another one. */
  peer(address: string = this.upstream.address): HttpPeer {
    return new HttpPeer(address, this.#settings.peer)
  }

  /** Lets time pass; a deadline falls due at most 50 ms late. */
  pass(ms: number): void {
    this.clock.advance(ms + 50)
  }

  /** Resolves when `count` requests have been logged. */
  async untilLogged(count: number): Promise<Logged[]> {
    await this.until(() => this.logged.length >= count, `${count} calls of logging`)
    return this.logged
  }

  /** Resolves when `condition` holds; looked at in every turn of the event loop. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const guard = new Guard(() => `waited in vain for ${what}: ${JSON.stringify(this.lines)}`)
    try {
      while (!condition()) await Promise.race([settle(), guard.expired])
    } finally {
      guard.clear()
    }
  }

  /** The messages of the log lines of one level. */
  messages(level: LogLevel): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message)
  }

  async #start(): Promise<void> {
    const { clock, network, counters } = this
    const deadlines = new DeadlineWheel(clock)
    const env = { clock, deadlines, network, random: { next: () => 0.5 } }
    const logger = recordingInto(this.lines)
    await this.service.start({ env, configuration: new ServerConf(), logger, counters })
  }

  /** What every test ends with: all is closed, and each request was logged once. */
  async #end(): Promise<void> {
    const upstreams = [this.upstream, ...this.#others]
    try {
      for (const client of this.#clients) client.destroy()
      await this.until(
        () => this.counters.get('downstreamConnectionsOpen') === 0,
        'clients to leave',
      )
      // In flight without a client there can only be what a test left hanging in a hook.
      this.service.destroy()
      await Promise.all(upstreams.map((upstream) => upstream.allClosed()))
      assert.deepEqual(this.uncaught, [], 'nothing escapes from a connection handler')
      if (this.#settings.skipsLogging !== true) {
        assert.equal(
          this.logged.length,
          this.counters.get('requests'),
          'each request is logged once',
        )
      }
    } finally {
      for (const client of this.#clients) client.destroy()
      this.service.destroy()
      await Promise.all(upstreams.map((upstream) => upstream.close()))
    }
  }
}

/** The real network, but for addresses to which connecting takes for ever; keeps what it made. */
export class WatchedNetwork extends NodeNetwork {
  /** Addresses that never answer. */
  readonly silent: Set<string> = new Set<string>()
  /** Dials in progress to silent addresses. */
  hanging = 0
  /** The proxy's ends of all connections, in order. */
  readonly accepted: Connection[] = []
  readonly dialled: Connection[] = []

  constructor(clock: ManualClock, uncaught: unknown[], usesHandles: boolean) {
    super({ clock, onUncaught: (error) => void uncaught.push(error), usesHandles })
  }

  override async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    if (this.silent.has(formatAddress(address))) return this.#hang(options.signal)
    const connection = await super.dial(address, options)
    this.dialled.push(connection)
    return connection
  }

  override listen(
    address: SocketAddress,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    return super.listen(address, options, (connection) => {
      this.accepted.push(connection)
      onConnection(connection)
    })
  }

  #hang(signal: AbortSignal | undefined): Promise<never> {
    this.hanging++
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => {
        this.hanging--
        reject(signal.reason as Error)
      })
    })
  }
}

function recordingInto(lines: LogLine[]): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields })
    }
  return {
    level: 'trace',
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}
