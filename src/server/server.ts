/** `Server`: the process that runs services, from the command line to the exit code. */
import { ProxyError, describeThrown } from '../error/index.js'
import { Counters } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import { REAL_ENVIRONMENT, TicketKeys } from '../transport/index.js'
import type { Environment } from '../transport/index.js'
import { Daemon, daemonProblems, wantsDaemon } from './daemon/daemon.js'
import { launchDaemon } from './daemon/launcher.js'
import { ExecutionPhases } from './execution-phase.js'
import type { ExecutionPhase, PhaseCallback } from './execution-phase.js'
import { exitWithFailure } from './exit.js'
import { Upgrade } from './handover/upgrade.js'
import { keepAlive } from './keep-alive.js'
import { Opt } from './opt.js'
import { handlePassiveSignals, handleStopSignals, handleUncaught } from './process-handlers.js'
import type { FatalPolicy } from './process-handlers.js'
import { runServices } from './run-services.js'
import { ServerConf } from './server-conf.js'
import { logLevel, stderrLogger, workerLogger } from './server-logger.js'
import { ServiceGraph } from './service-graph.js'
import type { ServiceHandle } from './service-graph.js'
import type { Service, ServiceContext } from './service.js'
import type { StartupDelayHook } from './start-services.js'
import { StopControl } from './stop-control.js'
import type { StopKind } from './stop-control.js'
import { Systemd } from './systemd/systemd.js'
import { runWorker } from './workers/run-worker.js'
import { thisWorker } from './workers/this-worker.js'
import type { WorkerStart } from './workers/this-worker.js'
import { withWorkers } from './workers/with-workers.js'

/** What a server is built on; programs need none of it. */
export interface ServerOptions {
  /** Time, network and chance for all services. Default: the machine's. */
  readonly env?: Environment
  /**
   * Default: readable lines on stderr, or JSON in a daemon's `error_log`, from the level of
   * `PINGORA_LOG`, `RUST_LOG` or `log_level`.
   */
  readonly logger?: Logger
}

/** How a server runs. */
export interface RunOptions {
  /** Asks for a graceful stop when aborted. Default: none. */
  readonly signal?: AbortSignal
  /** Called once when every service has started. Default: none. */
  readonly onReady?: () => void
  /** What follows an error that nobody caught. Default: `continue`. */
  readonly onFatal?: FatalPolicy
  /**
   * The program's file or `file:` URL, such as `import.meta.url`: each worker thread runs it. Default:
   * the file that Node was started with.
   */
  readonly entry?: string
  /**
   * Called when a service had to wait for a second or more until what it depends on was ready, with
   * its name and the whole wait. Default: a line in the log.
   */
  readonly onStartupDelay?: StartupDelayHook
}

/**
 * Runs services until a signal or {@link Server.stop} ends it. SIGTERM lets requests in flight end
 * first, SIGINT does not; a second signal ends everything at once.
 */
export class Server {
  /** The settings, from the file of `-c` or as given. */
  readonly configuration: ServerConf
  /** The command line. */
  readonly options: Opt
  /** The log of the server and its services. */
  readonly logger: Logger
  /** The counters of the server and its services. */
  readonly counters: Counters = new Counters({ registry: REAL_ENVIRONMENT.sharedMemory })
  readonly #env: Environment
  readonly #daemon: Daemon | null
  readonly #services = new ServiceGraph()
  readonly #stop = new StopControl()
  readonly #ticketKeys: TicketKeys
  readonly #upgrade: Upgrade
  readonly #phases: ExecutionPhases
  #systemd: Systemd | null = null
  #state: 'new' | 'bootstrapped' | 'running' | 'ended' = 'new'
  #bootstrapping: Promise<void> | undefined
  #releaseSignals = (): void => undefined

  /**
   * @param opt the flags; `null` for none. Its file is read here.
   * @param conf settings in place of those of the file.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID`, `PGR_NOT_AVAILABLE`. With the `opt` of
   * `Opt.parseArgs()` nothing is thrown: the reason is printed and the process exits with 1.
   */
  constructor(opt: Opt | null = null, conf?: ServerConf, options: ServerOptions = {}) {
    this.options = opt ?? new Opt()
    this.configuration =
      WORKER === null
        ? (conf ?? configurationOf(this.options))
        : ServerConf.fromThread(WORKER.configuration)
    this.#env = options.env ?? REAL_ENVIRONMENT
    this.#daemon = Daemon.ofThisProcess(this.options, this.configuration)
    const level = logLevel(this.configuration)
    this.logger =
      options.logger ??
      (WORKER && workerLogger(WORKER)) ??
      this.#daemon?.openLog(level) ??
      stderrLogger(level, this.#env)
    this.#phases = new ExecutionPhases(this.logger)
    this.#ticketKeys = new TicketKeys(this.#env.clock, WORKER?.ticketKeys)
    this.#upgrade = new Upgrade({
      env: this.#env,
      logger: this.logger,
      path: this.configuration.upgradeSock,
      maxRetries: this.configuration.upgradeSockConnectAcceptMaxRetries,
      user: process.getuid?.() ?? 0,
      ticketKeys: this.#ticketKeys,
    })
    if (conf !== undefined && this.options.conf !== undefined && WORKER === null) {
      this.logger.warn(`${this.options.conf} is not read: the program brings its own configuration`)
    }
  }

  /**
   * Prepares the process: from here on SIGHUP, SIGQUIT and SIGUSR1 do not end it, and
   * sockets that systemd has opened are taken. With `-d` a copy of the process goes on in the background, and here it never returns: the process exits when the copy
   * serves, or failed. With `-u` it waits for the listeners of the old process. A second call does
   * nothing. `run` calls it when the program did not.
   * @throws {@link ProxyError} (rejects) `PGR_HANDOVER_FAILED`, `PGR_NOT_AVAILABLE`, with `-u` only.
   * With the `opt` of `Opt.parseArgs()` the reason is printed and the process exits with 1.
   */
  bootstrap(): Promise<void> {
    this.#bootstrapping ??= this.#bootstrap()
    return this.#bootstrapping
  }

  /**
   * Adds a service; the handle says what it depends on.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when the server runs already.
   */
  addService(service: Service): ServiceHandle {
    return this.#services.add(service)
  }

  /** Adds several services, in order. @throws as {@link Server.addService}. */
  addServices(services: Iterable<Service>): ServiceHandle[] {
    return Array.from(services, (service) => this.addService(service))
  }

  /**
   * Runs to the end and exits: 0 after a stop or a passed `-t`; 1, with the reason on stderr, when a
   * service could not start. Never returns.
   */
  async runForever(options: RunOptions = {}): Promise<never> {
    try {
      await this.run(options)
    } catch (thrown) {
      exitWithFailure(thrown)
    }
    process.exit(0)
  }

  /**
   * Runs until it is stopped and returns; nothing of it is left in the process then. With `-t` the
   * services are only checked.
   * @throws {@link ProxyError} (rejects) what kept a service from starting, such as
   * `PGR_LISTEN_FAILED`; `PGR_OPTION_INVALID` for services that depend on each other in a circle;
   * with `-t` `PGR_CONFIGURATION_INVALID` with all problems.
   */
  async run(options: RunOptions = {}): Promise<void> {
    const { signal, onReady, onFatal = 'continue', entry = process.argv[1] ?? '' } = options
    await this.bootstrap()
    if (this.#state !== 'bootstrapped') {
      throw new ProxyError('PGR_OPTION_INVALID', 'run: a server runs only once')
    }
    this.#state = 'running'
    this.#services.seal()
    const releases = [this.#releaseSignals]
    try {
      if (WORKER !== null) await this.#runInWorker(WORKER, onFatal)
      if (this.options.test) {
        await this.#test()
        return
      }
      releases.push(
        keepAlive(),
        handleStopSignals((kind) => {
          this.stop(kind)
        }),
        this.#handleUncaught(onFatal),
        onAbort(signal, () => {
          this.stop()
        }),
      )
      const { threads, accept } = this.configuration
      const services =
        threads === 1 ? this.#services : withWorkers(this.#services, { threads, accept, entry })
      const becomeReady = (): void => {
        this.#phases.enter('running')
        this.#daemon?.becomeReady(this.logger)
        void this.#announce()
        onReady?.()
      }
      await runServices(services, this.#context, this.#stop, becomeReady, {
        ...options,
        onPhase: (phase) => {
          this.#phases.enter(phase)
          if (phase === 'shutdown-started') this.#systemd?.stopping(this.#stop.kind ?? 'immediate')
        },
      })
    } finally {
      this.#state = 'ended'
      for (const release of releases) release()
      this.#upgrade.end()
      this.#systemd?.end()
      this.#phases.enter('terminated')
    }
  }

  /** Where the server is in its life. */
  get phase(): ExecutionPhase {
    return this.#phases.current
  }

  /**
   * Has `callback` called at the beginning of each phase from now on; what it throws is logged.
   * @returns ends the watching.
   */
  watchPhase(callback: PhaseCallback): () => void {
    return this.#phases.watch(callback)
  }

  /** Asks the server to stop; `run` then returns. Asking twice makes it immediate. */
  stop(kind: StopKind = 'graceful'): void {
    this.#stop.request(kind)
  }

  /** Everything is served. systemd must know of this process before the launcher or the old one may end. */
  async #announce(): Promise<void> {
    const isNewMain = this.options.upgrade || this.#daemon !== null
    if (this.#systemd !== null) await this.#systemd.ready(isNewMain)
    this.#daemon?.releaseLauncher()
    await this.#upgrade.ready()
  }

  get #context(): ServiceContext {
    const { configuration, counters, logger } = this
    const [env, ticketKeys] = [this.#env, this.#ticketKeys]
    return { configuration, counters, env, logger, ticketKeys, thread: WORKER?.index ?? 0 }
  }

  #handleUncaught(policy: FatalPolicy): () => void {
    const { network } = this.#env
    return handleUncaught({ logger: this.logger, counters: this.counters, network, policy })
  }

  /** Never returns: what the program does after `run` is done once, in the main thread. */
  async #runInWorker(worker: WorkerStart, onFatal: FatalPolicy): Promise<never> {
    this.#handleUncaught(onFatal)
    await runWorker(this.#services, this.#context, worker)
    process.exit(0)
  }

  async #bootstrap(): Promise<void> {
    this.#state = 'bootstrapped'
    // All that follows is the main thread's.
    if (WORKER !== null) return
    this.#phases.enter('bootstrap')
    const reopenLog = this.#daemon?.logReopener(this.logger)
    const onUpgrade = (): void => void this.#handOver()
    this.#releaseSignals = handlePassiveSignals(this.logger, onUpgrade, reopenLog)
    for (const warning of this.configuration.warnings) this.logger.warn(warning)
    this.#daemon?.enter()
    if (this.#daemon === null && wantsDaemon(this.options, this.configuration)) {
      await launchDaemon(this.configuration, this.#env.clock)
    }
    if (!this.options.test) this.#systemd = Systemd.ofThisProcess(this.#env, this.logger)
    if (this.options.upgrade && !this.options.test) await this.#receiveListeners()
    this.#phases.enter('bootstrap-complete')
  }

  async #receiveListeners(): Promise<void> {
    const release = keepAlive()
    try {
      await this.#upgrade.receive(this.#daemon?.identity ?? null, () => {
        this.#daemon?.announce()
      })
    } catch (thrown) {
      this.#releaseSignals()
      this.#systemd?.end()
      if (this.options.fromCommandLine) exitWithFailure(thrown)
      throw thrown
    } finally {
      release()
    }
  }

  /** SIGQUIT: once the new process serves, this one lets its work in flight end. */
  async #handOver(): Promise<void> {
    if (this.phase !== 'running') {
      this.logger.warn(`SIGQUIT ignored in the phase ${this.phase}: there is nothing to hand over`)
      return
    }
    // A stop may come meanwhile, whose phases must not be left again.
    const enter = (phase: ExecutionPhase): void => {
      if (this.#stop.kind === null) this.#phases.enter(phase)
    }
    enter('graceful-upgrade-transferring-fds')
    const isServed = await this.#upgrade.handOver(() => {
      enter('graceful-upgrade-close-timeout')
    })
    if (!isServed) enter('running')
    // A second request would cut what is in flight.
    else if (this.#stop.kind === null) this.stop('upgrade')
  }

  async #test(): Promise<void> {
    const problems = daemonProblems(this.options, this.configuration)
    try {
      this.#services.check()
    } catch (thrown) {
      problems.push(describeThrown(thrown))
    }
    for (const service of this.#services.services) {
      try {
        await service.check?.(this.#context)
      } catch (thrown) {
        problems.push(`${service.name}: ${describeThrown(thrown)}`)
      }
    }
    const { fromCommandLine } = this.options
    if (problems.length > 0) {
      const failure = new ProxyError('PGR_CONFIGURATION_INVALID', problems.join('\n'))
      if (fromCommandLine) exitWithFailure(failure)
      throw failure
    }
    if (!fromCommandLine) return
    // Whoever typed -t wants the verdict, and nothing that the program does after `run`.
    process.stdout.write('the configuration is ok\n')
    process.exit(0)
  }
}

/** In a worker: what the main thread has given it. */
const WORKER = thisWorker()

function configurationOf(opt: Opt): ServerConf {
  try {
    return opt.conf === undefined ? new ServerConf() : ServerConf.load(opt.conf)
  } catch (thrown) {
    if (opt.fromCommandLine) exitWithFailure(thrown)
    throw thrown
  }
}

function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal?.aborted) callback()
  signal?.addEventListener('abort', callback)
  return () => {
    signal?.removeEventListener('abort', callback)
  }
}
