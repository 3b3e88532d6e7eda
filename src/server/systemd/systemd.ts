/** `Systemd`: what a server takes from systemd and tells it. */
import type { Logger } from '../../observability/index.js'
import { Sockets, loadLibc } from '../../os/internal.js'
import type { Environment, ListeningSockets } from '../../transport/index.js'
import type { StopKind } from '../stop-control.js'
import { takeActivatedSockets } from './activation.js'
import { SystemdNotifier } from './notify.js'

/** The server's side of a unit of systemd. */
export class Systemd {
  readonly #notifier: SystemdNotifier | null
  /** Where systemd's sockets are, if there are any. */
  readonly #listening: ListeningSockets | null
  readonly #logger: Logger

  private constructor(
    notifier: SystemdNotifier | null,
    listening: ListeningSockets | null,
    logger: Logger,
  ) {
    this.#notifier = notifier
    this.#listening = listening
    this.#logger = logger
  }

  /**
   * Reads the environment of this process, and takes the sockets that it speaks of.
   * @returns `null` where it speaks of no systemd.
   */
  static ofThisProcess({ clock, network }: Environment, logger: Logger): Systemd | null {
    const { env: variables, pid } = process
    if (variables['NOTIFY_SOCKET'] === undefined && variables['LISTEN_FDS'] === undefined)
      return null
    const libc = loadLibc()
    const sockets = libc && new Sockets(libc)
    const listening = network.listeningSockets ?? null
    const common = { variables, pid, sockets, logger }
    const hasSockets = takeActivatedSockets({ ...common, listening })
    const notifier = SystemdNotifier.of({ ...common, clock })
    return new Systemd(notifier, hasSockets ? listening : null, logger)
  }

  /**
   * All services have started. Resolves when systemd knows; before that, the process that it
   * watches, an old one or the launcher of a daemon, must not end.
   * @param isNewMain whether the process that systemd has started is another one.
   */
  async ready(isNewMain: boolean): Promise<void> {
    for (const name of this.#listening?.closeUnclaimed() ?? []) {
      this.#logger.warn(`systemd: no listener asks for ${name}, which is closed`)
    }
    await this.#notifier?.ready(isNewMain)
  }

  /** A stop begins. After an upgrade the service goes on in the new process, which gives the signs of life. */
  stopping(kind: StopKind): void {
    if (kind === 'upgrade') this.#notifier?.end()
    else this.#notifier?.stopping()
  }

  /** The server is over: nothing more is told, and what it never came to ask for is closed. */
  end(): void {
    this.#listening?.closeUnclaimed()
    this.#notifier?.end()
  }
}
