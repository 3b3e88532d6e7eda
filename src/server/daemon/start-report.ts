/** The one report that a daemon sends to its launcher: that it serves, or why it does not. */
import { closeSync, writeSync } from 'node:fs'
import { describeThrown } from '../../error/index.js'

/** The report, as one line of JSON over a pipe. */
export type StartOutcome =
  | { readonly ready: true; readonly failure?: undefined }
  | { readonly ready: false; readonly failure: string }

/** The daemon's end of the pipe. The first call counts; later ones do nothing. */
export class StartReport {
  readonly #descriptor: number
  #pending = true
  /** What nobody caught; the reason if the process then ends, and none if it goes on. */
  #uncaught: string | undefined
  readonly #onUncaught = (thrown: unknown): void => {
    this.#uncaught =
      thrown instanceof Error ? (thrown.stack ?? thrown.message) : describeThrown(thrown)
  }
  readonly #onExit = (): void => {
    if (this.#uncaught !== undefined) this.failed(this.#uncaught)
  }

  constructor(descriptor: number) {
    this.#descriptor = descriptor
    process.on('uncaughtExceptionMonitor', this.#onUncaught)
    process.on('exit', this.#onExit)
  }

  /** The daemon serves: the launcher may end, and with it the command that was typed. */
  ready(): void {
    this.#send({ ready: true })
  }

  /** The daemon ends: `reason` is shown to whoever started it. */
  failed(reason: string): void {
    this.#send({ ready: false, failure: reason })
  }

  #send(outcome: StartOutcome): void {
    if (!this.#pending) return
    this.#pending = false
    process.off('uncaughtExceptionMonitor', this.#onUncaught)
    process.off('exit', this.#onExit)
    try {
      writeSync(this.#descriptor, `${JSON.stringify(outcome)}\n`)
      closeSync(this.#descriptor)
    } catch {
      // Nobody waits any more, because the launcher was ended; the daemon is none the worse.
    }
  }
}

/** Reads a report; `undefined` while its line is not complete. */
export function parseStartOutcome(text: string): StartOutcome | undefined {
  return text.endsWith('\n') ? (JSON.parse(text) as StartOutcome) : undefined
}

/** Where a daemon finds its end of the pipe: after stdin, stdout and stderr. */
export const REPORT_DESCRIPTOR = 3

/** Says to a process that it is a daemon, and not the launcher of one. */
export const DAEMON_MARKER = 'PINGORA_TS_DAEMON'

/**
 * The report when this process is a daemon that a launcher has started, else `null`. Decided when
 * this file is loaded: the marker is gone before anything can be started that would inherit it.
 */
export const START_REPORT: StartReport | null = takeMarker()
  ? new StartReport(REPORT_DESCRIPTOR)
  : null

function takeMarker(): boolean {
  const marked = process.env[DAEMON_MARKER] !== undefined
  Reflect.deleteProperty(process.env, DAEMON_MARKER)
  return marked
}
