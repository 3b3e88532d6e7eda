/** Dialling and listening through a thread's ring. */
import type { ProxyError } from '../../error/index.js'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest, dialledDigest } from '../connection-digests.js'
import type { Connection } from '../connection.js'
import type { AcceptingSocket, DescriptorNetwork } from '../descriptor-network.js'
import type { DialOptions } from '../environment.js'
import { giveConnection } from '../give-connection.js'
import type { ListenOptions } from '../listen-options.js'
import { adoptedSocket } from '../node/adopted-socket.js'
import { dialError } from '../node/system-errors.js'
import { statusError } from '../node/tcp-binding.js'
import { prepareSocket } from '../prepare-socket.js'
import { RingAccept } from './ring-accept.js'
import { RingConnect } from './ring-connect.js'
import { RingConnection } from './ring-connection.js'
import type { RingLoop } from './ring-loop.js'

/** Opens and accepts connections in the clear, over TCP and unix sockets. */
export class RingNetwork implements DescriptorNetwork {
  readonly #loop: RingLoop
  readonly #clock: Clock
  readonly #onUncaught: (error: unknown) => void

  constructor(loop: RingLoop, clock: Clock, onUncaught: (error: unknown) => void) {
    this.#loop = loop
    this.#clock = clock
    this.#onUncaught = onUncaught
  }

  /** As `Network.dial`. */
  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    const loop = this.#loop
    const { sockets } = loop
    const { signal } = options
    const fd = prepareSocket(sockets, address, options)
    const connected = (): Connection => this.#dialled(fd, address)
    const outcome = await new RingConnect(loop, { fd, name: address, signal, connected }).done
    if (typeof outcome !== 'number') return outcome
    signal?.throwIfAborted()
    throw refused(address, outcome, 'connect')
  }

  #dialled(fd: number, address: SocketAddress): Connection {
    const { sockets } = this.#loop
    if (address.kind === 'ip') sockets.noDelay(fd)
    const digest = dialledDigest(address, sockets.localEnd(fd), this.#clock.nowMs())
    const parts = { digest, onUncaught: this.#onUncaught, staysLarge: true }
    return new RingConnection(this.#loop, fd, parts)
  }

  /**
   * Accepts on a socket that listens and closes it in the end.
   * @param give gets each connection, as its descriptor; must not throw.
   */
  accept(
    socket: AcceptingSocket,
    { onAcceptError = ignore }: ListenOptions,
    give: (fd: number) => void,
  ): Promise<{ close(): Promise<void> }> {
    const owner = { onAccepted: give, onError: onAcceptError }
    return Promise.resolve(new RingAccept(this.#loop, this.#clock, socket, owner))
  }

  adopt(
    fd: number,
    bound: SocketAddress,
    onConnection: (connection: Connection) => void,
    forTls: boolean = false,
  ): void {
    const { sockets } = this.#loop
    const onUncaught = this.#onUncaught
    const ends = [sockets.peerEnd(fd), sockets.localEnd(fd)] as const
    const digest = acceptedDigest(bound, ends, this.#clock.nowMs())
    const connection = forTls
      ? adoptedSocket(fd, digest, onUncaught)
      : new RingConnection(this.#loop, fd, { digest, onUncaught, staysLarge: false })
    giveConnection(connection, onConnection, onUncaught)
  }

  discard(fd: number): void {
    this.#loop.sockets.close(fd)
  }
}

function refused(address: SocketAddress, status: number, syscall: string): ProxyError {
  return dialError(formatAddress(address), statusError(status, syscall))
}

function ignore(): void {
  // Nobody asked to be told.
}
