/** `TlsAcceptor`: the TLS handshakes of one listener, with limits on their time and their number. */
import { ProxyError, intInRange, toProxyError } from '../error/index.js'
import { Counters, RefusalLog, SILENT_LOGGER } from '../observability/index.js'
import type { Logger } from '../observability/index.js'
import type { Connection } from './connection.js'
import type { Environment } from './environment.js'
import { REAL_ENVIRONMENT } from './real-environment.js'
import type { TlsServerOptions } from './tls-server-options.js'

/** What a {@link TlsAcceptor} is made from. */
export interface TlsAcceptorOptions {
  /** Certificates and what else handshakes need. */
  readonly tls: TlsServerOptions
  /** Where connections are accepted, for messages. */
  readonly listener: string
  /** Time for a handshake, in ms, from 1. Default: 10000. */
  readonly handshakeTimeoutMs?: number
  /** Handshakes in progress at once, in each thread; further clients are closed. Default: 1024. */
  readonly maxHandshakes?: number
  /** Time and network. Default: the real ones. */
  readonly env?: Environment
  /** Counts handshakes and how they fail. Default: its own. */
  readonly counters?: Counters
  /**
   * Told of each client that fails, at level `debug`; of what is our own fault and of the limit
   * reached at most once per second each. Default: silent.
   */
  readonly logger?: Logger
}

/** Shakes hands with clients. Memory is O(handshakes in progress). */
export class TlsAcceptor {
  /** What handshakes from now on need; those in progress go on with what was there before. */
  tls: TlsServerOptions
  readonly #env: Environment
  readonly #listener: string
  readonly #timeoutMs: number
  readonly #maxHandshakes: number
  readonly #counters: Counters
  readonly #logger: Logger
  readonly #limitLog: RefusalLog
  readonly #faultLog: RefusalLog
  #inProgress = 0

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` when a limit is out of range. */
  constructor(options: TlsAcceptorOptions) {
    const { handshakeTimeoutMs = 10_000, maxHandshakes = 1_024 } = options
    this.#timeoutMs = intInRange('handshakeTimeoutMs', handshakeTimeoutMs, 1, 0x7fffffff)
    this.#maxHandshakes = intInRange('maxHandshakes', maxHandshakes, 1, Number.MAX_SAFE_INTEGER)
    this.tls = options.tls
    this.#listener = options.listener
    this.#env = options.env ?? REAL_ENVIRONMENT
    this.#counters = options.counters ?? new Counters()
    this.#logger = options.logger ?? SILENT_LOGGER
    const { clock } = this.#env
    this.#limitLog = new RefusalLog(this.#logger, () => clock.nowMs())
    this.#faultLog = new RefusalLog(this.#logger, () => clock.nowMs())
  }

  /**
   * Shakes hands on a connection that was accepted with `forTls`, which is used up. Resolves to the
   * secured connection, paused; to `null`, with everything closed, when there is none.
   * @param signal gives the handshake up. @param prefix bytes that were read already.
   */
  async secure(
    connection: Connection,
    signal: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection | null> {
    if (this.#inProgress >= this.#maxHandshakes) {
      connection.destroy()
      this.#counters.add('downstreamConnectionsLimited')
      this.#limitLog.add('warn', 'too many TLS handshakes at once', { listener: this.#listener })
      return null
    }
    const client = connection.digest.peerAddress
    this.#inProgress++
    try {
      const secured = await this.#shakeHands(connection, signal, prefix)
      this.#counters.add('downstreamHandshakes')
      if (secured.digest.tls?.resumed === true) this.#counters.add('downstreamHandshakesResumed')
      return secured
    } catch (thrown) {
      if (!signal.aborted) this.#failed(client, toProxyError(thrown, 'PGR_INTERNAL'))
      return null
    } finally {
      this.#inProgress--
    }
  }

  async #shakeHands(
    connection: Connection,
    signal: AbortSignal,
    prefix: Uint8Array | undefined,
  ): Promise<Connection> {
    const { deadlines, network } = this.#env
    const controller = new AbortController()
    const onAbort = (): void => {
      controller.abort(signal.reason)
    }
    const deadline = deadlines.deadline(() => {
      const text = `TLS ${connection.digest.peerAddress}: not done after ${this.#timeoutMs} ms`
      controller.abort(new ProxyError('PGR_CLIENT_TLS_TIMEOUT', text))
    })
    deadline.set(this.#timeoutMs)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await network.startServerTls(connection, this.tls, controller.signal, prefix)
    } finally {
      deadline.dispose()
      signal.removeEventListener('abort', onAbort)
    }
  }

  #failed(client: string, error: ProxyError): void {
    const { code, message: reason, source } = error
    const facts = { listener: this.#listener, client, code, reason }
    this.#counters.addError(code)
    if (source === 'downstream') this.#logger.debug('TLS handshake failed', facts)
    else this.#faultLog.add('error', 'TLS handshake failed', facts)
  }
}
