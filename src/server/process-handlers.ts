/** What the process does with signals and with errors that nobody caught, while a server lives. */
import { describeThrown } from '../error/index.js'
import type { Counters, Logger } from '../observability/index.js'
import type { Network } from '../transport/index.js'
import type { StopKind } from './stop-control.js'

/** What happens after an error that nobody caught: `continue` serving, or `exit` with 1. */
export type FatalPolicy = 'continue' | 'exit'

/**
 * Handles the signals that would otherwise end the process, or open its debugger (SIGUSR1), from
 * the start on. What no feature uses yet is logged and ignored.
 * @param onUpgrade called for SIGQUIT.
 * @param reopenLog called for SIGUSR1; a process in the foreground has nothing to open.
 * @returns takes the handlers away again.
 */
export function handlePassiveSignals(
  logger: Logger,
  onUpgrade: () => void,
  reopenLog?: () => void,
): () => void {
  return listen([
    [
      'SIGHUP',
      () => {
        logger.warn('SIGHUP ignored: reloading the configuration is not available yet')
      },
    ],
    ['SIGQUIT', onUpgrade],
    [
      'SIGUSR1',
      () => {
        if (reopenLog) reopenLog()
        else logger.warn('SIGUSR1 ignored: there is no log file to open anew')
      },
    ],
  ])
}

/**
 * SIGTERM asks for a graceful stop, SIGINT for an immediate one.
 * @returns takes the handlers away again.
 */
export function handleStopSignals(request: (kind: StopKind) => void): () => void {
  return listen([
    [
      'SIGTERM',
      () => {
        request('graceful')
      },
    ],
    [
      'SIGINT',
      () => {
        request('immediate')
      },
    ],
  ])
}

/** Who is told of what was never caught. */
export interface UncaughtOptions {
  readonly logger: Logger
  readonly counters: Counters
  /** Catches what is thrown into it by itself, and tells. */
  readonly network: Network
  readonly policy: FatalPolicy
}

/**
 * Logs and counts what was thrown or rejected and never caught, such as in a timer of a hook: one
 * faulty request must not end all others.
 * @returns takes the handlers away again.
 */
export function handleUncaught({ logger, counters, network, policy }: UncaughtOptions): () => void {
  const report = (kind: string, thrown: unknown): void => {
    counters.add('uncaughtErrors')
    const stack = thrown instanceof Error ? thrown.stack : undefined
    logger.error(`${kind}: ${describeThrown(thrown)}`, { stack })
    if (policy === 'exit') process.exit(1)
  }
  const reportException = (thrown: unknown): void => {
    report('uncaught exception', thrown)
  }
  const ignore = listen([
    ['uncaughtException', reportException],
    [
      'unhandledRejection',
      (thrown) => {
        report('unhandled rejection', thrown)
      },
    ],
  ])
  const unhook = hookUncaught(network, reportException)
  return () => {
    ignore()
    unhook()
  }
}

/** Whoever was told before still is. */
function hookUncaught(network: Network, report: (thrown: unknown) => void): () => void {
  const { onUncaught: before = () => undefined } = network
  const tell = (thrown: unknown): void => {
    before(thrown)
    report(thrown)
  }
  network.onUncaught = tell
  return () => {
    // Another server of this process may have come since, and tells on.
    if (network.onUncaught === tell) network.onUncaught = before
  }
}

function listen(handlers: readonly (readonly [string, (thrown: unknown) => void])[]): () => void {
  for (const [event, handler] of handlers) process.on(event, handler)
  return () => {
    for (const [event, handler] of handlers) process.off(event, handler)
  }
}
