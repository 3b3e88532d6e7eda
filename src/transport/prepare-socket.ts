/** A socket that is about to be connected: its options, and where it connects from. */
import { isIPv6 } from 'node:net'
import { constants } from 'node:os'
import { ProxyError } from '../error/index.js'
import type { Sockets } from '../os/internal.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import type { DialOptions } from './environment.js'
import { dialError } from './node/system-errors.js'
import { statusError } from './node/tcp-binding.js'
import { setPeerOptions } from './socket-options.js'

/** Whether `options` ask for more than Node's own sockets can do. */
export function needsDescriptor({ socket, localPorts }: DialOptions): boolean {
  return socket !== undefined || localPorts !== undefined
}

/**
 * Opens a socket for a connect to `address`. Where a step fails nothing stays open.
 * @throws {@link ProxyError} `PGR_CONNECT_FAILED`, `PGR_BIND_FAILED`, `PGR_OPTION_INVALID`,
 * `PGR_NOT_AVAILABLE` where the kernel does not know an option.
 */
export function prepareSocket(
  sockets: Sockets,
  address: SocketAddress,
  options: DialOptions,
): number {
  const fd = sockets.open(address)
  if (fd < 0) throw failed(address, fd, 'socket')
  try {
    if (options.socket !== undefined) setOptions(sockets, fd, address, options.socket)
    if (address.kind === 'ip') bindLocal(sockets, fd, address, options)
    return fd
  } catch (thrown) {
    sockets.close(fd)
    throw thrown
  }
}

function setOptions(
  sockets: Sockets,
  fd: number,
  address: SocketAddress,
  options: NonNullable<DialOptions['socket']>,
): void {
  const failure = setPeerOptions(sockets, fd, address, options)
  if (failure !== null) throw unknownOption(address, failure.option, failure.status)
}

function bindLocal(
  sockets: Sockets,
  fd: number,
  address: SocketAddress & { readonly kind: 'ip' },
  { localAddress, localPorts }: DialOptions,
): void {
  if (localPorts !== undefined) {
    const [low, high] = localPorts
    // A port is then chosen when it connects, so that many connections may have the same one.
    let status = sockets.setOption(fd, 'bindAddressNoPort', 1)
    if (status >= 0) status = sockets.setOption(fd, 'localPortRange', high * 0x1_0000 + low)
    if (status < 0) throw unknownOption(address, 'localPortRange', status)
  }
  if (localAddress === undefined) return
  // An address of the other family can be bound, but then not connected from.
  const status =
    isIPv6(localAddress) === isIPv6(address.host)
      ? sockets.bind(fd, { kind: 'ip', host: localAddress, port: 0 })
      : -constants.errno.EADDRNOTAVAIL
  if (status < 0) throw failed(address, status, 'bind')
}

function failed(address: SocketAddress, status: number, syscall: string): ProxyError {
  return dialError(formatAddress(address), statusError(status, syscall))
}

function unknownOption(address: SocketAddress, option: string, status: number): ProxyError {
  const cause = statusError(status, 'setsockopt')
  const text = `connect ${formatAddress(address)}: ${option}: ${cause.message}`
  return new ProxyError('PGR_NOT_AVAILABLE', text, { cause })
}
