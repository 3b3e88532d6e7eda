/** Accepting and adopting descriptors where there is libc, but no io_uring. */
import type { Socket } from 'node:net'
import type { Sockets } from '../../os/internal.js'
import type { Clock } from '../../time/index.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest } from '../connection-digests.js'
import type { Connection } from '../connection.js'
import type { AcceptingSocket, DescriptorNetwork } from '../descriptor-network.js'
import { giveConnection } from '../give-connection.js'
import type { ListenOptions } from '../listen-options.js'
import { adoptedSocket } from './adopted-socket.js'
import { listenOnDescriptor } from './node-listener.js'

/** Node's own servers accept; what they accept leaves them as another descriptor of the same socket. */
export class NodeDescriptors implements DescriptorNetwork {
  readonly #sockets: Sockets
  readonly #clock: Clock
  readonly #onUncaught: (error: unknown) => void

  constructor(sockets: Sockets, clock: Clock, onUncaught: (error: unknown) => void) {
    this.#sockets = sockets
    this.#clock = clock
    this.#onUncaught = onUncaught
  }

  accept(
    { fd, bound }: AcceptingSocket,
    options: ListenOptions,
    give: (fd: number) => void,
  ): Promise<{ close(): Promise<void> }> {
    return listenOnDescriptor(fd, bound, options, this.#clock, {
      socket: (socket) => {
        const { _handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } }
        const copy = this.#sockets.duplicate(_handle?.fd ?? -1)
        socket.destroy()
        if (copy >= 0) give(copy)
      },
      handle: null,
    })
  }

  adopt(fd: number, bound: SocketAddress, onConnection: (connection: Connection) => void): void {
    const ends = [this.#sockets.peerEnd(fd), this.#sockets.localEnd(fd)] as const
    const digest = acceptedDigest(bound, ends, this.#clock.nowMs())
    const onUncaught = this.#onUncaught
    giveConnection(adoptedSocket(fd, digest, onUncaught), onConnection, onUncaught)
  }

  discard(fd: number): void {
    this.#sockets.close(fd)
  }
}
