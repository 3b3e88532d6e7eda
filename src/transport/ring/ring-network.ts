/** Dialling and listening through a thread's ring. */
import { isIPv6 } from 'node:net'
import { constants } from 'node:os'
import type { ProxyError } from '../../error/index.js'
import type { Sockets } from '../../os/internal.js'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest, dialledDigest } from '../connection-digests.js'
import type { Connection } from '../connection.js'
import type { DialOptions, Listener } from '../environment.js'
import type { ListenOptions } from '../listen-options.js'
import type { ListeningSocket } from '../listening-sockets.js'
import { dialError } from '../node/system-errors.js'
import { statusError } from '../node/tcp-binding.js'
import { RingAccept } from './ring-accept.js'
import { RingConnect } from './ring-connect.js'
import { RingConnection } from './ring-connection.js'
import type { RingLoop } from './ring-loop.js'

/** Opens and accepts connections in the clear, over TCP and unix sockets. */
export class RingNetwork {
  readonly #loop: RingLoop
  readonly #clock: Clock
  readonly #onUncaught: (error: unknown) => void

  constructor(loop: RingLoop, clock: Clock, onUncaught: (error: unknown) => void) {
    this.#loop = loop
    this.#clock = clock
    this.#onUncaught = onUncaught
  }

  /** As `Network.dial`. */
  async dial(address: SocketAddress, { localAddress, signal }: DialOptions): Promise<Connection> {
    const loop = this.#loop
    const { sockets } = loop
    const fd = sockets.open(address)
    if (fd < 0) throw refused(address, fd, 'socket')
    if (localAddress !== undefined && address.kind === 'ip') {
      const bound = bindLocal(sockets, fd, localAddress, address.host)
      if (bound < 0) {
        sockets.close(fd)
        throw refused(address, bound, 'bind')
      }
    }
    const status = await new RingConnect(loop, fd, address, signal).done
    if (status < 0) {
      signal?.throwIfAborted()
      throw refused(address, status, 'connect')
    }
    if (address.kind === 'ip') sockets.noDelay(fd)
    const digest = dialledDigest(address, sockets.localEnd(fd), this.#clock.nowMs())
    return new RingConnection(loop, fd, { digest, onUncaught: this.#onUncaught, staysLarge: true })
  }

  /**
   * Accepts on a socket that listens and closes it in the end.
   * @param give gets each connection; must not throw.
   */
  accept(
    { fd, bound }: ListeningSocket,
    { onAcceptError = ignore }: ListenOptions,
    give: (connection: Connection) => void,
  ): Pick<Listener, 'close'> {
    const loop = this.#loop
    const { sockets } = loop
    return new RingAccept(loop, this.#clock, fd, {
      onAccepted: (accepted) => {
        const ends = [sockets.peerEnd(accepted), sockets.localEnd(accepted)] as const
        const digest = acceptedDigest(bound, ends, this.#clock.nowMs())
        const parts = { digest, onUncaught: this.#onUncaught, staysLarge: false }
        give(new RingConnection(loop, accepted, parts))
      },
      onError: onAcceptError,
    })
  }
}

/** An address of the other family can be bound, but then not connected from. */
function bindLocal(sockets: Sockets, fd: number, local: string, host: string): number {
  if (isIPv6(local) !== isIPv6(host)) return -constants.errno.EADDRNOTAVAIL
  return sockets.bind(fd, { kind: 'ip', host: local, port: 0 })
}

function refused(address: SocketAddress, status: number, syscall: string): ProxyError {
  return dialError(formatAddress(address), statusError(status, syscall))
}

function ignore(): void {
  // Nobody asked to be told.
}
