/** `TlsListener`: the TLS of one listener while it runs, with files that may be replaced. */
import { FileWatch } from '../configuration/index.js'
import { describeThrown } from '../error/index.js'
import type { ServiceContext } from '../server/index.js'
import { TlsAcceptor } from '../transport/index.js'
import { filesOf, readListenerTls, validityProblems } from './listener-tls.js'
import type { ListenerTls, TlsSurroundings } from './listener-tls.js'

/** Reads certificates, shakes hands with them, and reads them again when they change. */
export class TlsListener {
  readonly acceptor: TlsAcceptor
  readonly #tls: ListenerTls
  readonly #surroundings: TlsSurroundings
  readonly #context: ServiceContext
  readonly #listener: string
  readonly #watch: FileWatch

  /**
   * @param listener where connections are accepted, for messages.
   * @throws {@link ProxyError} `PGR_CONFIGURATION_INVALID`, `PGR_OPTION_INVALID`.
   */
  constructor(
    tls: ListenerTls,
    surroundings: TlsSurroundings,
    listener: string,
    context: ServiceContext,
  ) {
    const { env, counters, logger } = context
    const { handshakeTimeoutMs, maxHandshakes } = tls
    this.#tls = tls
    this.#surroundings = surroundings
    this.#context = context
    this.#listener = listener
    // Before they are read: what changes from here on is seen.
    this.#watch = new FileWatch(env.clock, filesOf(tls), () => {
      this.#readAgain()
    })
    this.acceptor = new TlsAcceptor({
      tls: readListenerTls(tls, surroundings),
      listener,
      ...(handshakeTimeoutMs !== undefined && { handshakeTimeoutMs }),
      ...(maxHandshakes !== undefined && { maxHandshakes }),
      env,
      counters,
      logger,
    })
    this.#warnOfDates()
  }

  /** Begins to watch the files. */
  start(): void {
    if (filesOf(this.#tls).length > 0) this.#watch.start()
  }

  /** Ends the watch. */
  stop(): void {
    this.#watch.stop()
  }

  /** A handshake that has begun ends with the certificate that it began with. */
  #readAgain(): void {
    const { logger } = this.#context
    const listener = this.#listener
    try {
      this.acceptor.tls = readListenerTls(this.#tls, this.#surroundings)
      if (this.#speaks) logger.info('TLS files replaced', { listener })
      this.#warnOfDates()
    } catch (thrown) {
      const reason = describeThrown(thrown)
      if (this.#speaks)
        logger.error('TLS files cannot be used, going on with the old', { listener, reason })
    }
  }

  #warnOfDates(): void {
    if (!this.#speaks) return
    const { env, logger } = this.#context
    const listener = this.#listener
    for (const reason of validityProblems(this.acceptor.tls, env.clock.wallMs()))
      logger.warn('TLS certificate', { listener, reason })
  }

  /** All threads read the same files; one of them says so. */
  get #speaks(): boolean {
    return (this.#context.thread ?? 0) === 0
  }
}
