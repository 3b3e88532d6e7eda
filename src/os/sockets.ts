/** `Sockets`: sockets by their descriptor, for what must not or cannot go through `node:net`. */
import { constants } from 'node:os'
import { isIPv6 } from 'node:net'
import type { Libc } from './libc.js'
import { Memory } from './memory.js'

/**
 * Where a socket is: an IP address and a port, or the path of a unix socket. A path that begins with
 * NUL is an abstract name, which is in no folder.
 */
export type SocketName =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** An option of a socket; its value is a number. */
export type SocketOptionName =
  | 'keepAlive'
  | 'sendBuffer'
  | 'receiveBuffer'
  | 'reusePort'
  | 'keepIdle'
  | 'keepInterval'
  | 'keepCount'
  | 'userTimeout'
  | 'tcpFastOpen'
  | 'tcpFastOpenConnect'
  | 'ipTos'
  | 'bindAddressNoPort'
  | 'localPortRange'
  | 'ipv6Only'
  | 'ipv6TrafficClass'

/** What leaves with one {@link Sockets.send}: latin1 text or bytes. */
export type IoVector = string | Uint8Array

/**
 * The calls on sockets that are made at once, not through a ring. Each that can fail returns a
 * negative errno then, as Node's own handles do. The sockets are blocking, as io_uring wants them.
 */
export class Sockets {
  readonly #libc: Libc
  readonly #name: Memory
  readonly #nameLength: Memory
  readonly #option: Memory
  readonly #message: Memory
  readonly #text: Memory

  constructor(libc: Libc) {
    this.#libc = libc
    this.#name = Memory.allocate(libc, NAME_BYTES)
    this.#nameLength = Memory.allocate(libc, 4)
    this.#option = Memory.allocate(libc, 8)
    this.#message = Memory.allocate(libc, MESSAGE_BYTES + MAX_VECTORS * 16)
    this.#text = Memory.allocate(libc, MAX_TEXT_BYTES)
  }

  /** A stream socket of the family of `name`. Returns its descriptor. */
  open(name: SocketName): number {
    return this.#result(this.#libc.socket(familyOf(name), SOCK_STREAM | SOCK_CLOEXEC, 0))
  }

  /** A datagram socket of the unix family. Returns its descriptor. */
  openDatagram(): number {
    return this.#result(this.#libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  }

  /** Another descriptor of the same socket. */
  duplicate(fd: number): number {
    return this.#result(this.#libc.fcntl(fd, F_DUPFD_CLOEXEC, 0))
  }

  /** Makes calls on the socket return `-EAGAIN` where they would wait, for all of its descriptors. */
  setNonBlocking(fd: number): number {
    return this.#result(this.#libc.fcntl(fd, F_SETFL, O_NONBLOCK))
  }

  /** Whether they do. */
  isNonBlocking(fd: number): boolean {
    return (this.#libc.fcntl(fd, F_GETFL, 0) & O_NONBLOCK) !== 0
  }

  /** A number that no other socket of this machine has had or will have (`SO_COOKIE`), in two halves. */
  cookie(fd: number): readonly [number, number] {
    this.#nameLength.bytes.writeInt32LE(8)
    const { bytes } = this.#name
    bytes.fill(0, 0, 8)
    this.#libc.getsockopt(fd, SOL_SOCKET, SO_COOKIE, bytes, this.#nameLength.bytes)
    return [bytes.readInt32LE(0), bytes.readInt32LE(4)]
  }

  /** Keeps the descriptor from programs that this one starts. */
  closeOnExec(fd: number): number {
    return this.#result(this.#libc.fcntl(fd, F_SETFD, FD_CLOEXEC))
  }

  /** Whether the descriptor is a socket that connections can be accepted from. */
  isListening(fd: number): boolean {
    this.#nameLength.bytes.writeInt32LE(4)
    const { bytes } = this.#option
    const length = this.#nameLength.bytes
    const status = this.#libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, bytes, length)
    return status === 0 && bytes.readInt32LE(0) === 1
  }

  /** Connects at once or fails, as unix sockets do. */
  connect(fd: number, name: SocketName): number {
    const length = this.#writeName(name)
    return length < 0 ? length : this.#result(this.#libc.connect(fd, this.#name.bytes, length))
  }

  /** The next connection, non-blocking as it is, or `-EAGAIN`. */
  accept(fd: number): number {
    return this.#result(this.#libc.accept4(fd, null, null, SOCK_CLOEXEC | O_NONBLOCK))
  }

  /** The user at the other end of a unix socket (`SO_PEERCRED`), or a negative errno. */
  peerUser(fd: number): number {
    this.#nameLength.bytes.writeInt32LE(12)
    const { bytes } = this.#name
    const status = this.#libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, bytes, this.#nameLength.bytes)
    return status < 0 ? this.#result(status) : bytes.readUInt32LE(4)
  }

  /** Binds to `name`. */
  bind(fd: number, name: SocketName): number {
    const length = this.#writeName(name)
    return length < 0 ? length : this.#result(this.#libc.bind(fd, this.#name.bytes, length))
  }

  /** Listens, with `backlog` pending connections at the most. */
  listen(fd: number, backlog: number): number {
    return this.#result(this.#libc.listen(fd, backlog))
  }

  /** Ends our direction. */
  shutdownWrite(fd: number): number {
    return this.#result(this.#libc.shutdown(fd, SHUT_WR))
  }

  /** Closes the descriptor. */
  close(fd: number): void {
    this.#libc.close(fd)
  }

  /** Lets an address be bound while old connections of it are still being forgotten. */
  reuseAddress(fd: number): number {
    return this.#setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
  }

  /** Sends small pieces at once. Accepted sockets inherit it from the one that listens. */
  noDelay(fd: number): number {
    return this.#setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
  }

  /** Makes closing a reset. */
  resetOnClose(fd: number): number {
    return this.#setOption(fd, SOL_SOCKET, SO_LINGER, 1)
  }

  /** Sets an option. */
  setOption(fd: number, option: SocketOptionName, value: number): number {
    const [level, name] = OPTIONS[option]
    return this.#setOption(fd, level, name, value)
  }

  /** The value of an option, or a negative errno. */
  option(fd: number, option: SocketOptionName): number {
    const [level, name] = OPTIONS[option]
    this.#nameLength.bytes.writeInt32LE(4)
    const { bytes } = this.#option
    bytes.fill(0)
    const status = this.#libc.getsockopt(fd, level, name, bytes, this.#nameLength.bytes)
    return status < 0 ? this.#result(status) : bytes.readUInt32LE(0)
  }

  /** Our own end as `[address, port]`; empty when there is none any more. */
  localEnd(fd: number): readonly [string, number] {
    return this.#end((name, length) => this.#libc.getsockname(fd, name, length))
  }

  /** Where a socket is bound; `null` for what is no socket of these kinds, or has no name. */
  boundName(fd: number): SocketName | null {
    const [host, port] = this.localEnd(fd)
    if (host !== '') return { kind: 'ip', host, port }
    const { bytes } = this.#name
    const length = this.#nameLength.bytes.readInt32LE(0)
    if (length <= 2 || bytes.readUInt16LE(0) !== AF_UNIX) return null
    const path = bytes.toString('utf8', 2, length)
    // The NUL that ends a path is no part of it; the one that begins an abstract name is.
    return { kind: 'unix', path: path.startsWith('\0') ? path : path.replace(/\0.*$/s, '') }
  }

  /**
   * Whether a socket is bound to exactly `name`, however that is written: `[::]` is not `0.0.0.0`,
   * nor an IPv4 address in an IPv6 socket the address itself.
   */
  isBoundTo(fd: number, name: SocketName): boolean {
    const length = this.#writeName(name)
    if (length < 0) return false
    const { bytes } = this.#name
    const wanted = Buffer.from(bytes.subarray(0, length))
    this.localEnd(fd)
    const boundLength = this.#nameLength.bytes.readInt32LE(0)
    return boundLength === length && bytes.subarray(0, length).equals(wanted)
  }

  /** The peer's end as `[address, port]`; empty when the peer is gone. */
  peerEnd(fd: number): readonly [string, number] {
    return this.#end((name, length) => this.#libc.getpeername(fd, name, length))
  }

  /** A socket address in memory of its own, for a connect through a ring; a negative errno where it is none. */
  address(name: SocketName): { readonly memory: Memory; readonly length: number } | number {
    const length = this.#writeName(name)
    if (length < 0) return length
    const memory = Memory.allocate(this.#libc, NAME_BYTES)
    this.#name.bytes.copy(memory.bytes)
    return { memory, length }
  }

  /**
   * Sends at once what the kernel takes, and never waits. Returns the number of bytes taken, or
   * a negative errno; `-EAGAIN` also for more vectors or text than one call can hold.
   */
  send(fd: number, vectors: readonly IoVector[]): number {
    if (vectors.length > MAX_VECTORS) return -constants.errno.EAGAIN
    const { bytes, address } = this.#message
    let textBytes = 0
    for (const [index, vector] of vectors.entries()) {
      const at = MESSAGE_BYTES + index * 16
      if (typeof vector === 'string') {
        if (textBytes + vector.length > MAX_TEXT_BYTES) return -constants.errno.EAGAIN
        this.#text.bytes.write(vector, textBytes, 'latin1')
        writeAddress(bytes, at, this.#text.address + textBytes)
        textBytes += vector.length
      } else {
        writeAddress(bytes, at, this.#libc.addressOf(vector))
      }
      writeAddress(bytes, at + 8, vector.length)
    }
    writeAddress(bytes, 16, address + MESSAGE_BYTES)
    writeAddress(bytes, 24, vectors.length)
    return this.#result(this.#libc.sendmsg(fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL))
  }

  /** Receives at once what is there. Returns bytes, 0 at the end of the stream, or a negative errno. */
  receive(fd: number, to: Uint8Array): number {
    return this.#result(this.#libc.recv(fd, to, to.length, MSG_DONTWAIT))
  }

  #end(call: (name: Uint8Array, length: Uint8Array) => number): readonly [string, number] {
    this.#nameLength.bytes.writeInt32LE(NAME_BYTES)
    const { bytes } = this.#name
    if (call(bytes, this.#nameLength.bytes) < 0) {
      this.#nameLength.bytes.writeInt32LE(0)
      return ['', 0]
    }
    const family = bytes.readUInt16LE(0)
    if (family === AF_INET) return [bytes.subarray(4, 8).join('.'), bytes.readUInt16BE(2)]
    if (family === AF_INET6) return [ipv6Text(bytes.subarray(8, 24)), bytes.readUInt16BE(2)]
    return ['', 0]
  }

  /** Writes the socket address (`sockaddr`) of `name`. Returns its length, or a negative errno. */
  #writeName(name: SocketName): number {
    const { bytes } = this.#name
    bytes.fill(0).writeUInt16LE(familyOf(name), 0)
    if (name.kind === 'unix') {
      const length = Buffer.byteLength(name.path)
      if (length > MAX_PATH_BYTES) return -constants.errno.ENAMETOOLONG
      bytes.write(name.path, 2)
      // A path ends with NUL, and an abstract name with its last byte.
      return 2 + length + (name.path.startsWith('\0') ? 0 : 1)
    }
    bytes.writeUInt16BE(name.port, 2)
    const [host = '', zone] = name.host.split('%')
    const isV6 = isIPv6(name.host)
    if (zone !== undefined) bytes.writeUInt32LE(this.#libc.ifNametoindex(zone), 24)
    const [family, at] = isV6 ? [AF_INET6, 8] : [AF_INET, 4]
    if (this.#libc.inetPton(family, host, bytes.subarray(at)) !== 1) return -constants.errno.EINVAL
    return isV6 ? 28 : 16
  }

  #setOption(fd: number, level: number, name: number, value: number): number {
    const { bytes } = this.#option
    bytes.fill(0).writeUInt32LE(value)
    // `struct linger` is two numbers, of which the second, the seconds, stays 0.
    const length = name === SO_LINGER ? 8 : 4
    return this.#result(this.#libc.setsockopt(fd, level, name, bytes, length))
  }

  #result(value: number): number {
    return value < 0 ? -this.#libc.errno() : value
  }
}

function familyOf(name: SocketName): number {
  if (name.kind === 'unix') return AF_UNIX
  return isIPv6(name.host) ? AF_INET6 : AF_INET
}

/** The text of an IPv6 address (RFC 5952): lower case, the longest run of zeros as `::`. */
function ipv6Text(bytes: Buffer): string {
  const isMapped =
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff
  if (isMapped) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

function writeAddress(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

/** A head, a chunk and its end, with text from before. */
const MAX_VECTORS = 8
const MAX_TEXT_BYTES = 65_536
/** `sun_path` of Linux holds 108 bytes, the last of them NUL. */
const MAX_PATH_BYTES = 107
/** Room for every kind of socket address. */
const NAME_BYTES = 128
/** `struct msghdr` of 64-bit Linux. */
const MESSAGE_BYTES = 56
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000
const F_SETFD = 2
const FD_CLOEXEC = 1
const F_GETFL = 3
const F_SETFL = 4
const F_DUPFD_CLOEXEC = 1030
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_LINGER = 13
const SO_PEERCRED = 17
const SO_COOKIE = 57
const SO_ACCEPTCONN = 30
const IPPROTO_IP = 0
const IPPROTO_TCP = 6
const IPPROTO_IPV6 = 41
const TCP_NODELAY = 1
/** Level and name of each option, as the man pages socket(7), ip(7), ipv6(7) and tcp(7) have them. */
const OPTIONS: Readonly<Record<SocketOptionName, readonly [level: number, name: number]>> = {
  keepAlive: [SOL_SOCKET, 9],
  sendBuffer: [SOL_SOCKET, 7],
  receiveBuffer: [SOL_SOCKET, 8],
  reusePort: [SOL_SOCKET, 15],
  keepIdle: [IPPROTO_TCP, 4],
  keepInterval: [IPPROTO_TCP, 5],
  keepCount: [IPPROTO_TCP, 6],
  userTimeout: [IPPROTO_TCP, 18],
  tcpFastOpen: [IPPROTO_TCP, 23],
  tcpFastOpenConnect: [IPPROTO_TCP, 30],
  ipTos: [IPPROTO_IP, 1],
  bindAddressNoPort: [IPPROTO_IP, 24],
  localPortRange: [IPPROTO_IP, 51],
  ipv6Only: [IPPROTO_IPV6, 26],
  ipv6TrafficClass: [IPPROTO_IPV6, 67],
}
const SHUT_WR = 1
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
