/** `ListeningSockets`: the descriptors that a process listens on, its own and inherited ones. */
import { chmodSync } from 'node:fs'
import type { Sockets } from '../os/internal.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import type { ListenOptions } from './listen-options.js'
import { listenError } from './node/system-errors.js'
import { statusError } from './node/tcp-binding.js'
import { setBindingOptions, setListenerOptions } from './socket-options.js'
import { DEFAULT_UNIX_MODE, clearUnixPath, removeUnixPath } from './node/unix-path.js'

/** One socket that listens. */
export interface ListeningSocket {
  /** Its descriptor. */
  readonly fd: number
  /** Where it was asked to listen, such as `0.0.0.0:6188` or `unix:/run/a.sock`; port 0 stays 0. */
  readonly name: string
  /** Where it listens, with the real port. */
  readonly bound: SocketAddress
  /** Whether accepting on it never waits, which is as another process has left it. */
  readonly isNonBlocking: boolean
  /**
   * Whether a supervisor, such as systemd, has opened it and keeps it: its queue, its file and the
   * mode of that are not ours to change.
   */
  readonly isSupervised: boolean
}

/** The sockets of one address: one, or several between which the kernel divides the connections. */
export type SocketsOfListener = readonly [ListeningSocket, ...ListeningSocket[]]

/** A socket as another process knew it, whose name is the address as its program has written it. */
export type InheritedSocket = Pick<ListeningSocket, 'fd' | 'name' | 'isSupervised'>

/**
 * Opens sockets that listen, or takes those that came from another process under the same name. As
 * descriptors they can go to the next process, with the clients that wait in their queues.
 */
export class ListeningSockets {
  readonly #sockets: Sockets
  readonly #inherited: InheritedSocket[] = []
  readonly #open = new Set<ListeningSocket>()
  /** Files of unix sockets that are not ours to remove, because another process serves them too. */
  readonly #foreignPaths = new Set<string>()

  constructor(sockets: Sockets) {
    this.#sockets = sockets
  }

  /** The sockets that listen now, in the order in which they were opened. */
  get open(): readonly ListeningSocket[] {
    return [...this.#open]
  }

  /**
   * Has later listeners take these sockets, which the other process serves too: by the same name, or
   * what is supervised by the address that it is bound to.
   */
  inherit(sockets: readonly InheritedSocket[]): void {
    for (const { name, isSupervised } of sockets) {
      if (name.startsWith(UNIX) && !isSupervised) this.#foreignPaths.add(name.slice(UNIX.length))
    }
    this.#inherited.push(...sockets)
  }

  /** From here on only we serve: closes what was inherited and never asked for. Returns its names. */
  takeOver(): string[] {
    this.#foreignPaths.clear()
    return this.closeUnclaimed()
  }

  /** Closes what was inherited and never asked for. Returns its names. */
  closeUnclaimed(): string[] {
    const unclaimed = this.#inherited.splice(0)
    for (const { fd, name, isSupervised } of unclaimed) {
      if (name.startsWith(UNIX) && !isSupervised) this.#removePath(name.slice(UNIX.length))
      this.#sockets.close(fd)
    }
    return unclaimed.map(({ name }) => name)
  }

  /** From here on the process that got the descriptors is to serve, and this one may end. */
  handOver(): void {
    for (const { bound } of this.#open) {
      if (bound.kind === 'unix') this.#foreignPaths.add(bound.path)
    }
  }

  /** Undoes {@link handOver}: the other process is gone. */
  takeBack(): void {
    for (const { bound } of this.#open) {
      if (bound.kind === 'unix') this.#foreignPaths.delete(bound.path)
    }
  }

  /**
   * Listens on `address`. A unix socket's file that nobody serves any more is replaced.
   * @param count how many sockets share the connections of an IP address. All that were inherited
   * for it are taken, though they be more, for clients wait in each; a unix socket and what is
   * supervised are never more. Default: 1.
   * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
   */
  async listen(
    address: SocketAddress,
    options: ListenOptions,
    count: number = 1,
  ): Promise<SocketsOfListener> {
    const name = formatAddress(address)
    const inherited = this.#claim(name, address)
    const isSupervised = inherited.some((socket) => socket.isSupervised)
    if (inherited.length === 0 && address.kind === 'unix') await clearUnixPath(address.path)
    const fds = inherited.map(({ fd }) => fd)
    try {
      if (fds.length === 0) fds.push(this.#bind(address, options))
      const bound = this.#boundOf(fds[0]!, address)
      if (bound.kind === 'ip' && !isSupervised) this.#bindMore(fds, bound, options, count)
      for (const fd of fds) {
        this.#setOptions(fd, address, options)
        if (!isSupervised) this.#start(fd, address, options)
      }
      const listening = fds.map((fd): ListeningSocket => {
        return { fd, name, bound, isNonBlocking: this.#sockets.isNonBlocking(fd), isSupervised }
      })
      for (const socket of listening) this.#open.add(socket)
      return listening as [ListeningSocket, ...ListeningSocket[]]
    } catch (thrown) {
      for (const fd of fds) this.#sockets.close(fd)
      throw thrown
    }
  }

  /** To be called before the descriptor of `socket` is closed; removes the file of a unix socket. */
  release(socket: ListeningSocket): void {
    const isOurs = this.#open.delete(socket) && !socket.isSupervised
    if (isOurs && socket.bound.kind === 'unix') this.#removePath(socket.bound.path)
  }

  #removePath(path: string): void {
    if (!this.#foreignPaths.has(path)) removeUnixPath(path)
  }

  /** The inherited sockets for a listener, which are its own from here on. */
  #claim(name: string, address: SocketAddress): InheritedSocket[] {
    const sockets = this.#sockets
    const matching = this.#inherited.filter((socket) =>
      socket.isSupervised ? sockets.isBoundTo(socket.fd, address) : socket.name === name,
    )
    // Listeners of one name may be several, each with a port that the kernel has chosen.
    const port = matching[0] && sockets.localEnd(matching[0].fd)[1]
    const claimed = matching.filter(({ fd }) => sockets.localEnd(fd)[1] === port)
    for (const socket of claimed) {
      this.#inherited.splice(this.#inherited.indexOf(socket), 1)
      // Another program may not have asked for it; what is accepted inherits it.
      if (address.kind === 'ip') sockets.noDelay(socket.fd)
    }
    return claimed
  }

  /**
   * Adds sockets at the same address until there are `count`. The first was bound without sharing its port,
   * unless it was asked to, so that a program that listens there already is found out.
   */
  #bindMore(fds: number[], bound: SocketAddress, options: ListenOptions, count: number): void {
    if (fds.length >= count) return
    for (const fd of fds) this.#sockets.setOption(fd, 'reusePort', 1)
    const sharing = { ...options, socket: { ...options.socket, reusePort: true } }
    while (fds.length < count) fds.push(this.#bind(bound, sharing))
  }

  #boundOf(fd: number, address: SocketAddress): SocketAddress {
    return address.kind === 'unix' ? address : { ...address, port: this.#sockets.localEnd(fd)[1] }
  }

  /** A bound descriptor. Where a step fails nothing stays open. */
  #bind(address: SocketAddress, { socket = {} }: ListenOptions): number {
    const sockets = this.#sockets
    const fd = sockets.open(address)
    if (fd < 0) throw listenError(formatAddress(address), statusError(fd, 'socket'))
    let status = address.kind === 'ip' ? sockets.reuseAddress(fd) : 0
    // What is accepted inherits it.
    if (status >= 0 && address.kind === 'ip') status = sockets.noDelay(fd)
    if (status >= 0) status = setBindingOptions(sockets, fd, address, socket)?.status ?? 0
    if (status >= 0) status = sockets.bind(fd, address)
    if (status < 0) {
      sockets.close(fd)
      throw listenError(formatAddress(address), statusError(status, 'bind'))
    }
    // A new file: whoever served the one before is gone.
    if (address.kind === 'unix') this.#foreignPaths.delete(address.path)
    return fd
  }

  /** What is accepted inherits them. */
  #setOptions(fd: number, address: SocketAddress, { socket }: ListenOptions): void {
    const failure = socket && setListenerOptions(this.#sockets, fd, address, socket)
    if (!failure) return
    throw listenError(formatAddress(address), statusError(failure.status, failure.option))
  }

  #start(fd: number, address: SocketAddress, options: ListenOptions): void {
    const { backlog = DEFAULT_BACKLOG, unixMode = DEFAULT_UNIX_MODE } = options
    const status = this.#sockets.listen(fd, backlog)
    if (status < 0) throw listenError(formatAddress(address), statusError(status, 'listen'))
    try {
      if (address.kind === 'unix') chmodSync(address.path, unixMode)
    } catch (cause) {
      throw listenError(formatAddress(address), cause)
    }
  }
}

/** Pending connections that the kernel keeps. */
export const DEFAULT_BACKLOG = 511
const UNIX = 'unix:'
