/** `Daemon`: what a process does differently because it runs in the background. */
import { closeSync, fchownSync, fstatSync, openSync } from 'node:fs'
import { parse } from 'node:path'
import { describeThrown } from '../../error/index.js'
import { pinoFileLogger } from '../../observability/index.js'
import type { FileLogger, LogLevel, Logger } from '../../observability/index.js'
import { loadLibc, unblockSignal } from '../../os/internal.js'
import { exitWithFailure } from '../exit.js'
import type { Opt } from '../opt.js'
import type { ServerConf } from '../server-conf.js'
import { assumeIdentity, findIdentity } from './identity.js'
import type { Identity } from './identity.js'
import { writePidFile } from './pid-file.js'
import { systemReason, withSetting } from './setting-problem.js'
import { START_REPORT } from './start-report.js'

/** Whether flags and file ask for a daemon; `-t` only checks, in the foreground. */
export function wantsDaemon(options: Opt, configuration: ServerConf): boolean {
  return (options.daemon || configuration.daemon) && !options.test
}

/** For `-t`: what is wrong with a daemon's settings, as far as one can say without becoming it. */
export function daemonProblems(options: Opt, { daemon, user, group }: ServerConf): string[] {
  if (!options.daemon && !daemon) return []
  try {
    findIdentity(user, group)
    return []
  } catch (thrown) {
    return [describeThrown(thrown)]
  }
}

/** The life of a process in the background, beside that of its services. */
export class Daemon {
  readonly #configuration: ServerConf
  #log: FileLogger | undefined
  #identity: Identity | null = null
  /** Says that the process of the pid file serves; `null` while there is none. */
  #confirmPidFile: (() => void) | null = null

  constructor(configuration: ServerConf) {
    this.#configuration = configuration
  }

  /** The daemon that this process is; `null` in the foreground and in the launcher. */
  static ofThisProcess(options: Opt, configuration: ServerConf): Daemon | null {
    if (START_REPORT === null || !wantsDaemon(options, configuration)) return null
    return new Daemon(configuration)
  }

  /** A logger to `error_log`; `undefined` without that key. A failure ends the process. */
  openLog(level: LogLevel): Logger | undefined {
    const { errorLog } = this.#configuration
    if (errorLog === undefined) return undefined
    this.#log = this.#orExit(() =>
      withSetting('error_log', `${errorLog} cannot be opened`, () =>
        pinoFileLogger(errorLog, level),
      ),
    )
    return this.#log
  }

  /**
   * Takes on what belongs to a daemon and does not wait for listeners, and lets SIGUSR1 through to
   * the handler that stands by now. A failure ends the process.
   */
  enter(): void {
    const { user, group, workingDirectory } = this.#configuration
    process.title = parse(process.argv[1] ?? '').name || process.title
    process.umask(0o007)
    // Also for `redirectOutput`: later our user may not be allowed to read the library.
    const libc = loadLibc()
    if (libc !== null) unblockSignal(libc, 'SIGUSR1')
    this.#orExit(() => {
      this.#identity = findIdentity(user, group)
      if (workingDirectory === undefined) return
      withSetting('working_directory', `${workingDirectory} cannot be entered`, () => {
        process.chdir(workingDirectory)
      })
    })
  }

  /** Who the daemon becomes once everything listens; `null` when it stays who started it. */
  get identity(): Identity | null {
    return this.#identity
  }

  /**
   * With `-u`, before anything listens: writes the pid file and lets the launcher end, because only
   * then whoever started it tells the old process to hand over.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when the file cannot be written.
   */
  announce(): void {
    this.#writePidFile()
    this.releaseLauncher()
  }

  /** Lets the launcher end: the command that was typed has done what it should. */
  releaseLauncher(): void {
    START_REPORT?.ready()
  }

  /**
   * All services have started: writes the pid file and gives privileges up.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID` when a step fails.
   */
  becomeReady(logger: Logger): void {
    const { errorLog, user } = this.#configuration
    this.#writePidFile()
    if (this.#identity !== null) {
      if (errorLog !== undefined) giveOutputTo(this.#identity)
      assumeIdentity(this.#identity)
    }
    this.#confirmPidFile?.()
    logger.info('running in the background', { pid: process.pid, user })
  }

  /** Goes on in a new `error_log`, after the old one was moved away; `undefined` without that key. */
  logReopener(logger: Logger): (() => void) | undefined {
    const { errorLog } = this.#configuration
    if (errorLog === undefined) return undefined
    return () => {
      try {
        this.#log?.reopen()
        redirectOutput(errorLog)
        logger.info('log file opened anew')
      } catch (thrown) {
        logger.error(`log file not opened anew: ${errorLog}: ${systemReason(thrown)}`)
      }
    }
  }

  #writePidFile(): void {
    this.#confirmPidFile ??= writePidFile(this.#configuration.pidFile, this.#identity)
  }

  #orExit<T>(step: () => T): T {
    try {
      return step()
    } catch (thrown) {
      exitWithFailure(thrown)
    }
  }
}

/** Later our user must be able to open the log anew. Devices, such as /dev/null, stay whose they are. */
function giveOutputTo({ uid, gid }: Identity): void {
  if (fstatSync(STDERR).isFile()) fchownSync(STDERR, uid ?? process.getuid!(), gid)
}

/** Stdout and stderr, where the traces of crashes go; without koffi they stay with the old file. */
function redirectOutput(path: string): void {
  const libc = loadLibc()
  if (libc === null) return
  const descriptor = openSync(path, 'a', 0o640)
  libc.dup2(descriptor, STDOUT)
  libc.dup2(descriptor, STDERR)
  closeSync(descriptor)
}

const STDOUT = 1
const STDERR = 2
