/** `ListeningSockets`: the descriptors that a process listens on, its own and inherited ones. */
import { chmodSync } from 'node:fs'
import type { Sockets } from '../os/internal.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import type { ListenOptions } from './listen-options.js'
import { listenError } from './node/system-errors.js'
import { statusError } from './node/tcp-binding.js'
import { setBindingOptions, setListenerOptions } from './socket-options.js'
import type { OptionFailure } from './socket-options.js'
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
   * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
   */
  async listen(address: SocketAddress, options: ListenOptions): Promise<ListeningSocket> {
    const name = formatAddress(address)
    const inherited = this.#claim(name, address)
    const isSupervised = inherited?.isSupervised ?? false
    if (inherited === undefined && address.kind === 'unix') await clearUnixPath(address.path)
    const fd = inherited?.fd ?? this.#bind(address, options)
    this.#setOptions(fd, address, options)
    if (!isSupervised) this.#start(fd, address, options)
    const bound =
      address.kind === 'unix' ? address : { ...address, port: this.#sockets.localEnd(fd)[1] }
    const socket = { fd, name, bound, isNonBlocking: this.#sockets.isNonBlocking(fd), isSupervised }
    this.#open.add(socket)
    return socket
  }

  /** To be called before the descriptor of `socket` is closed; removes the file of a unix socket. */
  release(socket: ListeningSocket): void {
    const isOurs = this.#open.delete(socket) && !socket.isSupervised
    if (isOurs && socket.bound.kind === 'unix') this.#removePath(socket.bound.path)
  }

  #removePath(path: string): void {
    if (!this.#foreignPaths.has(path)) removeUnixPath(path)
  }

  /** The inherited socket for a listener, which is its own from here on. */
  #claim(name: string, address: SocketAddress): InheritedSocket | undefined {
    const index = this.#inherited.findIndex((socket) =>
      socket.isSupervised ? this.#sockets.isBoundTo(socket.fd, address) : socket.name === name,
    )
    const [inherited] = index < 0 ? [] : this.#inherited.splice(index, 1)
    // Another program may not have asked for it; what is accepted inherits it.
    if (inherited && address.kind === 'ip') this.#sockets.noDelay(inherited.fd)
    return inherited
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
    if (status < 0) this.#giveUp(fd, address, statusError(status, 'bind'))
    // A new file: whoever served the one before is gone.
    if (address.kind === 'unix') this.#foreignPaths.delete(address.path)
    return fd
  }

  /** What is accepted inherits them. Nothing stays open when one fails. */
  #setOptions(fd: number, address: SocketAddress, { socket }: ListenOptions): void {
    if (socket === undefined) return
    let failure: OptionFailure | null
    try {
      failure = setListenerOptions(this.#sockets, fd, address, socket)
    } catch (thrown) {
      this.#sockets.close(fd)
      throw thrown
    }
    if (failure !== null) this.#giveUp(fd, address, statusError(failure.status, failure.option))
  }

  #start(fd: number, address: SocketAddress, options: ListenOptions): void {
    const { backlog = DEFAULT_BACKLOG, unixMode = DEFAULT_UNIX_MODE } = options
    const status = this.#sockets.listen(fd, backlog)
    if (status < 0) this.#giveUp(fd, address, statusError(status, 'listen'))
    try {
      if (address.kind === 'unix') chmodSync(address.path, unixMode)
    } catch (cause) {
      this.#giveUp(fd, address, cause)
    }
  }

  #giveUp(fd: number, address: SocketAddress, cause: unknown): never {
    this.#sockets.close(fd)
    throw listenError(formatAddress(address), cause)
  }
}

/** Pending connections that the kernel keeps. */
export const DEFAULT_BACKLOG = 511
const UNIX = 'unix:'
