/** The launcher: the process that was typed starts the daemon, and ends when it serves or failed. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { loadLibc } from '../../os/internal.js'
import type { Clock } from '../../time/index.js'
import { exitWithFailure, exitWithReason } from '../exit.js'
import type { ServerConf } from '../server-conf.js'
import { systemReason, withSetting } from './setting-problem.js'
import { DAEMON_MARKER, REPORT_DESCRIPTOR, parseStartOutcome } from './start-report.js'

/**
 * Starts a copy of this process in the background and waits for its report. Ends this process: with
 * 0 when the daemon serves, with 1 and the reason on stderr when it does not. Never returns.
 */
export function launchDaemon(configuration: ServerConf, clock: Clock): Promise<never> {
  return new Promise(() => {
    try {
      const daemon = startDaemon(configuration.errorLog)
      exitOnReport(daemon, configuration.errorLog)
      endWithUs(daemon, configuration.daemonReadyTimeoutSeconds, clock)
    } catch (thrown) {
      exitWithFailure(thrown)
    }
  })
}

/** In a session of its own, so that no terminal that closes takes the daemon along. */
function startDaemon(errorLog: string | undefined): ChildProcess {
  const output = errorLog === undefined ? 'ignore' : openErrorLog(errorLog)
  const flags = [...process.execArgv, ...signalFlags()]
  return spawn(process.execPath, [...flags, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, ...watchdogOf(process.env, process.pid), [DAEMON_MARKER]: '1' },
    stdio: ['ignore', output, output, 'pipe'],
  })
}

/**
 * Keeps a SIGUSR1 that comes before the daemon handles it from opening Node's debugger. The flag
 * blocks the signal for good, so it is of use only where the daemon can undo that.
 */
function signalFlags(): string[] {
  const isKnown = process.allowedNodeEnvironmentFlags.has(DISABLE_SIGUSR1)
  return isKnown && loadLibc() !== null ? [DISABLE_SIGUSR1] : []
}

/** The signs of life that systemd wants of this process are the daemon's to give. */
function watchdogOf({ WATCHDOG_PID }: NodeJS.ProcessEnv, pid: number): NodeJS.ProcessEnv {
  return WATCHDOG_PID === String(pid) ? { WATCHDOG_PID: undefined } : {}
}

/** Opened here, so that even the crash of a daemon that has not come far leaves its trace. */
function openErrorLog(path: string): number {
  return withSetting('error_log', `${path} cannot be opened`, () => openSync(path, 'a', 0o640))
}

function exitOnReport(daemon: ChildProcess, errorLog: string | undefined): void {
  let text = ''
  const report = daemon.stdio[REPORT_DESCRIPTOR] as Readable
  report.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    const outcome = parseStartOutcome(text)
    if (outcome?.ready) process.exit(0)
    if (outcome) exitWithReason(outcome.failure)
  })
  daemon.on('error', (error) => {
    exitWithReason(`error: the daemon could not be started: ${systemReason(error)}`)
  })
  daemon.on('close', (code, signal) => {
    const how = signal ?? `exit code ${String(code)}`
    const where = errorLog === undefined ? '' : `; ${errorLog} may say why`
    exitWithReason(`error: the daemon ended before it was ready, with ${how}${where}`)
  })
}

/** A failed start must leave nothing behind; the daemon may be stuck, so it is not asked first. */
function endWithUs(daemon: ChildProcess, timeoutSeconds: number, clock: Clock): void {
  const end = (reason: string): void => {
    daemon.kill('SIGKILL')
    exitWithReason(`error: ${reason}`)
  }
  clock.schedule(timeoutSeconds * 1000, () => {
    end(`the daemon was not ready within ${timeoutSeconds} s`)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      end(`${signal} before the daemon was ready`)
    })
  }
}

const DISABLE_SIGUSR1 = '--disable-sigusr1'
