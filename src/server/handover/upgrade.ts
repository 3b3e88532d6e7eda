/** `Upgrade`: a server's part in an upgrade without loss, as the new process or as the old one. */
import { ProxyError, describeThrown } from '../../error/index.js'
import type { Logger } from '../../observability/index.js'
import { Sockets, loadLibc } from '../../os/internal.js'
import type { Environment, ListeningSockets, TicketKeys } from '../../transport/index.js'
import { receiveListeners } from './receive-listeners.js'
import type { ReceivedListeners } from './receive-listeners.js'
import { sendListeners } from './send-listeners.js'
import type { ChannelParts } from './upgrade-channel.js'

/** What an upgrade is made of. */
export interface UpgradeOptions {
  readonly env: Environment
  readonly logger: Logger
  /** Pingora's `upgrade_sock`. */
  readonly path: string
  /** Pingora's `upgrade_sock_connect_accept_max_retries`: seconds that one side waits for the other. */
  readonly maxRetries: number
  /** Go to the new process too. */
  readonly ticketKeys: TicketKeys
  /** The user of this process. */
  readonly user: number
}

/** Who a process becomes after it has bound what only root may bind. */
export interface SocketOwner {
  /** `undefined` when it stays the user that it is. */
  readonly uid: number | undefined
  readonly gid: number
}

/** Both sides; a process is first the new one, and some day the old one. */
export class Upgrade {
  readonly #options: UpgradeOptions
  #received: ReceivedListeners | null = null
  #isHandingOver = false

  constructor(options: UpgradeOptions) {
    this.#options = options
  }

  /**
   * The new process: takes the listeners of the old one, which services then find as their own.
   * @param owner who the upgrade socket is for besides us, when we are going to be another user.
   * @param onBound called when the old process may be told to hand over.
   * @throws {@link ProxyError} (rejects) `PGR_HANDOVER_FAILED`, `PGR_NOT_AVAILABLE`.
   */
  async receive(owner: SocketOwner | null, onBound: () => void): Promise<void> {
    const { logger, path, maxRetries, user } = this.#options
    const { parts, listening } = this.#parts(owner?.uid)
    this.#received = await receiveListeners({
      ...parts,
      path,
      owner: owner && { uid: owner.uid ?? user, gid: owner.gid },
      maxWaitMs: (maxRetries + 1) * 1_000,
      onBound: () => {
        logger.info(`upgrade: waiting for the old process at ${path}`)
        onBound()
      },
      onRefused: (reason) => {
        logger.warn('upgrade: refused a process', { reason })
      },
    })
    listening.inherit(this.#received.sockets)
    this.#options.ticketKeys.adopt(this.#received.ticketKeys)
  }

  /** The new process serves: the old one may stop. What was taken and is not served is closed. */
  async ready(): Promise<void> {
    const { logger } = this.#options
    if (this.#received === null) return
    const unclaimed = this.#parts().listening.takeOver()
    if (unclaimed.length > 0) logger.info(`upgrade: no longer served: ${unclaimed.join(' ')}`)
    try {
      await this.#received.acknowledge()
    } catch (thrown) {
      logger.warn('upgrade: the old process does not listen', { reason: describeThrown(thrown) })
    }
    this.#received = null
  }

  /** The server is over. One that never came to serve closes what it took; the old one goes on. */
  end(): void {
    if (this.#received === null) return
    this.#parts().listening.closeUnclaimed()
    this.#received.abandon()
    this.#received = null
  }

  /**
   * The old process: hands its listeners over. Resolves to whether it may stop; if not, the log
   * says why, and everything goes on as before.
   * @param onSent called when the new process has them, and is waited for.
   */
  async handOver(onSent: () => void = () => undefined): Promise<boolean> {
    const { logger, path, maxRetries, ticketKeys } = this.#options
    if (this.#isHandingOver) return false
    this.#isHandingOver = true
    try {
      const { parts, listening } = this.#parts()
      // Without a listener there is nothing that a client could miss.
      if (listening.open.length > 0)
        await sendListeners({
          ...parts,
          path,
          maxRetries,
          listening,
          ticketKeys,
          onSent: () => {
            // Should a stop come from here on, the files of unix sockets are the new process's.
            listening.handOver()
            onSent()
          },
        })
      logger.info('upgrade: the new process serves')
      return true
    } catch (thrown) {
      this.#options.env.network.listeningSockets?.takeBack()
      logger.error('upgrade failed, serving on', { reason: describeThrown(thrown) })
      return false
    } finally {
      this.#isHandingOver = false
    }
  }

  #parts(otherUser: number = ROOT): { parts: ChannelParts; listening: ListeningSockets } {
    const { env, user } = this.#options
    const libc = loadLibc()
    const { listeningSockets: listening } = env.network
    if (libc === null || listening === null || listening === undefined) {
      throw new ProxyError('PGR_NOT_AVAILABLE', 'an upgrade needs Linux and the package koffi')
    }
    const allowedUsers = new Set([user, ROOT, otherUser])
    return {
      parts: { libc, sockets: new Sockets(libc), clock: env.clock, allowedUsers },
      listening,
    }
  }
}

const ROOT = 0
