/** Dialling and listening through a thread's ring. */
import { chmodSync, unlinkSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { constants } from 'node:os'
import type { ProxyError } from '../../error/index.js'
import type { Sockets } from '../../os/internal.js'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest, dialledDigest } from '../connection-digests.js'
import type { Connection } from '../connection.js'
import type { DialOptions, ListenOptions, Listener } from '../environment.js'
import { DEFAULT_BACKLOG } from '../node/node-listener.js'
import { dialError, listenError } from '../node/system-errors.js'
import { statusError } from '../node/tcp-binding.js'
import { DEFAULT_UNIX_MODE, clearUnixPath } from '../node/unix-path.js'
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

  /** As `Network.listen`; `give` never throws. */
  async listen(
    address: SocketAddress,
    options: ListenOptions,
    give: (connection: Connection) => void,
  ): Promise<Listener> {
    if (address.kind === 'unix') await clearUnixPath(address.path)
    const loop = this.#loop
    const { sockets } = loop
    const fd = this.#openListener(address, options)
    const bound = boundAddress(sockets, fd, address)
    const accept = new RingAccept(loop, this.#clock, fd, {
      onAccepted: (accepted) => {
        const ends = [sockets.peerEnd(accepted), sockets.localEnd(accepted)] as const
        const digest = acceptedDigest(bound, ends, this.#clock.nowMs())
        const parts = { digest, onUncaught: this.#onUncaught, staysLarge: false }
        give(new RingConnection(loop, accepted, parts))
      },
      onError: options.onAcceptError ?? ignore,
    })
    return {
      address: bound,
      close: () => {
        if (address.kind === 'unix' && !accept.isClosing) removePath(address.path)
        return accept.close()
      },
    }
  }

  /** A listening descriptor. Where a step fails nothing stays open. */
  #openListener(address: SocketAddress, { backlog, unixMode }: ListenOptions): number {
    const { sockets } = this.#loop
    const fd = sockets.open(address)
    if (fd < 0) throw listenError(formatAddress(address), statusError(fd, 'socket'))
    const isIp = address.kind === 'ip'
    const steps = [
      ['setsockopt', () => (isIp ? sockets.reuseAddress(fd) : 0)],
      ['setsockopt', () => (isIp ? sockets.noDelay(fd) : 0)],
      ['bind', () => sockets.bind(fd, address)],
      ['listen', () => sockets.listen(fd, backlog ?? DEFAULT_BACKLOG)],
    ] as const
    try {
      for (const [name, step] of steps) {
        const status = step()
        if (status < 0) throw statusError(status, name)
      }
      if (!isIp) chmodSync(address.path, unixMode ?? DEFAULT_UNIX_MODE)
      return fd
    } catch (cause) {
      sockets.close(fd)
      throw listenError(formatAddress(address), cause)
    }
  }
}

/** An address of the other family can be bound, but then not connected from. */
function bindLocal(sockets: Sockets, fd: number, local: string, host: string): number {
  if (isIPv6(local) !== isIPv6(host)) return -constants.errno.EADDRNOTAVAIL
  return sockets.bind(fd, { kind: 'ip', host: local, port: 0 })
}

function boundAddress(sockets: Sockets, fd: number, address: SocketAddress): SocketAddress {
  if (address.kind === 'unix') return address
  return { kind: 'ip', host: address.host, port: sockets.localEnd(fd)[1] }
}

function refused(address: SocketAddress, status: number, syscall: string): ProxyError {
  return dialError(formatAddress(address), statusError(status, syscall))
}

/** Before the socket is closed, so that the file is never another one's. */
function removePath(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone already.
  }
}

function ignore(): void {
  // Nobody asked to be told.
}
