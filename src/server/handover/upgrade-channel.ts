/** `UpgradeChannel`: one connection on the upgrade socket, with descriptors in its messages. */
import { constants } from 'node:os'
import { ProxyError } from '../../error/index.js'
import { receiveDescriptors, sendDescriptors } from '../../os/internal.js'
import type { Libc, PassedDescriptors, Sockets } from '../../os/internal.js'
import { poll } from './poll.js'
import type { PollClock } from './poll.js'

/** What a channel is made of. */
export interface ChannelParts {
  readonly libc: Libc
  readonly sockets: Sockets
  readonly clock: PollClock
  /** Users that may be at the other end. */
  readonly allowedUsers: ReadonlySet<number>
}

/** A connected, non-blocking unix socket. */
export class UpgradeChannel {
  readonly #parts: ChannelParts
  readonly #fd: number
  #isClosed = false

  /** @throws {@link ProxyError} `PGR_HANDOVER_FAILED` when the peer is another user's; closed then. */
  constructor(parts: ChannelParts, fd: number) {
    this.#parts = parts
    this.#fd = fd
    const user = parts.sockets.peerUser(fd)
    if (parts.allowedUsers.has(user)) return
    this.close()
    const reason = `the process at the other end of the upgrade socket is user ${user}'s`
    throw new ProxyError('PGR_HANDOVER_FAILED', reason)
  }

  /** Sends `bytes` with `fds`, waiting for room at most `maxMs`. @throws `PGR_HANDOVER_FAILED`. */
  async send(bytes: Buffer, fds: readonly number[], maxMs: number): Promise<void> {
    let rest = bytes
    let passed = fds
    await poll(this.#parts.clock, maxMs, () => {
      const sent = sendDescriptors(this.#parts.libc, this.#fd, rest, passed)
      if (sent === EAGAIN) return undefined
      if (sent < 0) throw new ProxyError('PGR_HANDOVER_FAILED', GONE)
      rest = rest.subarray(sent)
      // They have gone with the first byte.
      passed = []
      return rest.length === 0 ? true : undefined
    })
    if (rest.length > 0)
      throw new ProxyError('PGR_HANDOVER_FAILED', 'the new process does not read')
  }

  /**
   * The next message, `null` at the end of the stream, `undefined` when none came within `maxMs`.
   * @throws {@link ProxyError} `PGR_HANDOVER_FAILED` when the connection broke.
   */
  receive(maxMs: number): Promise<PassedDescriptors | null | undefined> {
    return poll(this.#parts.clock, maxMs, () => {
      const message = receiveDescriptors(this.#parts.libc, this.#fd, MAX_MESSAGE_BYTES)
      if (message === EAGAIN) return undefined
      if (typeof message === 'number') throw new ProxyError('PGR_HANDOVER_FAILED', GONE)
      return message.bytes.length === 0 ? null : message
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.sockets.close(this.#fd)
  }
}

const EAGAIN = -constants.errno.EAGAIN
const MAX_MESSAGE_BYTES = 65_536
const GONE = 'the process at the other end of the upgrade socket is gone'
