/** `DescriptorNetwork`: what a network does for threads that serve what others accept, or have opened. */
import type { SocketAddress } from './address.js'
import type { Connection } from './connection.js'
import type { ListenOptions } from './listen-options.js'
import type { ListeningSocket } from './listening-sockets.js'

/** A socket to accept on. */
export interface AcceptingSocket extends Pick<ListeningSocket, 'fd' | 'bound' | 'isNonBlocking'> {
  /**
   * Whether other threads accept on it as well. Then they take turns, one connection each; else the
   * first of them would take all. Default: false.
   */
  readonly isShared?: boolean
}

/** Accepts connections as descriptors, and makes connections of descriptors. */
export interface DescriptorNetwork {
  /** Accepts on `socket`, and closes its descriptor in the end. `give` owns each descriptor from then on; it must not throw. */
  accept(
    socket: AcceptingSocket,
    options: ListenOptions,
    give: (fd: number) => void,
  ): Promise<{ close(): Promise<void> }>
  /**
   * Makes a connection of a descriptor that any thread has accepted on a listener at `bound`.
   * `onConnection` gets it paused, as from `Network.listen`.
   * @param forTls whether TLS follows on it. Default: false.
   */
  adopt(
    fd: number,
    bound: SocketAddress,
    onConnection: (connection: Connection) => void,
    forTls?: boolean,
  ): void
  /** Closes a descriptor that nobody adopts. */
  discard(fd: number): void
}
