/** `SystemdNotifier`: tells systemd how the server is doing, by the protocol of `sd_notify(3)`. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import type { Logger } from '../../observability/index.js'
import type { Sockets } from '../../os/internal.js'
import type { Clock, Timer } from '../../time/index.js'
import { poll } from '../handover/poll.js'

/** What a notifier is made of. */
export interface SystemdNotifierOptions {
  /** The environment of the process. */
  readonly variables: NodeJS.ProcessEnv
  /** This process. */
  readonly pid: number
  /** `null` where there are none: then nothing is told. */
  readonly sockets: Sockets | null
  readonly clock: Clock
  readonly logger: Logger
}

/** Sends messages to the socket of `NOTIFY_SOCKET`. Those that fail are logged, and no more. */
export class SystemdNotifier {
  readonly #path: string
  readonly #pid: number
  /** Half of the time that systemd waits for a sign of life; `null` when it waits for none. */
  readonly #watchdogMs: number | null
  readonly #sockets: Sockets
  readonly #clock: Clock
  readonly #logger: Logger
  #beat: Timer | null = null

  private constructor(path: string, sockets: Sockets, options: SystemdNotifierOptions) {
    this.#path = path
    this.#pid = options.pid
    this.#watchdogMs = watchdogMs(options)
    this.#sockets = sockets
    this.#clock = options.clock
    this.#logger = options.logger
  }

  /** The notifier of a process; `null` when no systemd asks, or none can be told. */
  static of(options: SystemdNotifierOptions): SystemdNotifier | null {
    const { logger, sockets, variables } = options
    const name = variables['NOTIFY_SOCKET']
    if (name === undefined || name === '') return null
    if (!/^[/@]./.test(name)) {
      logger.warn(`systemd is not told: NOTIFY_SOCKET is no unix socket: ${name}`)
      return null
    }
    if (sockets === null) {
      logger.warn('systemd is not told: that needs Linux and the package koffi')
      return null
    }
    return new SystemdNotifier(name.replace(/^@/, '\0'), sockets, options)
  }

  /**
   * All services have started. Resolves when systemd has the message, or cannot be told.
   * @param isNewMain whether the process that systemd has started is another one.
   */
  async ready(isNewMain: boolean): Promise<void> {
    if (this.#watchdogMs !== null) this.#keepBeating(this.#watchdogMs)
    await this.#send(isNewMain ? `READY=1\nMAINPID=${this.#pid}` : 'READY=1')
  }

  /** The service stops, and systemd should not wonder. */
  stopping(): void {
    void this.#send('STOPPING=1')
  }

  /** No more signs of life. */
  end(): void {
    this.#beat?.cancel()
  }

  #keepBeating(everyMs: number): void {
    this.#beat = this.#clock.schedule(everyMs, () => {
      this.#logFailure('WATCHDOG=1', this.#sendNow('WATCHDOG=1'))
      this.#keepBeating(everyMs)
    })
  }

  /** Waits for room in systemd's queue, for a message that is lost is never asked for again. */
  async #send(message: string): Promise<void> {
    const status = await poll(this.#clock, MAX_SEND_MS, () => {
      const sent = this.#sendNow(message)
      return sent === EAGAIN ? undefined : sent
    })
    this.#logFailure(message, status ?? EAGAIN)
  }

  /** On a socket of its own: systemd may have made its own anew since the last message. */
  #sendNow(message: string): number {
    const fd = this.#sockets.openDatagram()
    if (fd < 0) return fd
    try {
      const connected = this.#sockets.connect(fd, { kind: 'unix', path: this.#path })
      return connected < 0 ? connected : this.#sockets.send(fd, [message])
    } finally {
      this.#sockets.close(fd)
    }
  }

  #logFailure(message: string, status: number): void {
    if (status >= 0) return
    const reason = getSystemErrorMap().get(status)?.[1] ?? `errno ${-status}`
    this.#logger.warn(`systemd was not told ${message.replace('\n', ' ')}`, { reason })
  }
}

/** Twice as often as systemd wants it, as `sd_watchdog_enabled(3)` advises. */
function watchdogMs({ variables, pid }: SystemdNotifierOptions): number | null {
  const { WATCHDOG_PID: forPid, WATCHDOG_USEC: everyUs = '' } = variables
  if (forPid !== undefined && forPid !== String(pid)) return null
  return /^[1-9]\d*$/.test(everyUs) ? Math.max(1, Number(everyUs) / 2_000) : null
}

const EAGAIN = -constants.errno.EAGAIN
const MAX_SEND_MS = 5_000
