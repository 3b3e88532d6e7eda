/** `DescriptorNetwork`: what a network does for threads, of which one accepts and others serve. */
import type { SocketAddress } from './address.js'
import type { Connection } from './connection.js'
import type { ListenOptions } from './listen-options.js'
import type { ListeningSocket } from './listening-sockets.js'

/** Accepts connections as descriptors, and makes connections of descriptors. */
export interface DescriptorNetwork {
  /** Accepts on `socket`. `give` owns each descriptor from then on; it must not throw. */
  accept(
    socket: ListeningSocket,
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
