/** Options of sockets, as Pingora's `TcpSocketOptions` and `PeerOptions` have them. */
import { isIPv6 } from 'node:net'
import { ProxyError, intInRange } from '../error/index.js'
import type { SocketOptionName, Sockets } from '../os/internal.js'
import type { SocketAddress } from './address.js'

/** When a connection that is silent is asked whether the peer still lives. Times in ms. */
export interface TcpKeepalive {
  /** Silence before the first probe, in whole seconds. Default: the system's, mostly two hours. */
  readonly idleMs?: number
  /** Time between probes, in whole seconds. Default: the system's. */
  readonly intervalMs?: number
  /** Probes without an answer after which the connection is broken, 1 to 127. Default: the system's. */
  readonly count?: number
  /** Longest time in which sent bytes may stay without an answer. Default: the system's. */
  readonly userTimeoutMs?: number
}

/** Options of a socket, whoever opened the connection. On unix sockets only the buffers have a meaning. */
export interface SocketOptions {
  /** Probes silent connections. Default: they are not probed. */
  readonly tcpKeepalive?: TcpKeepalive
  /** Class of traffic (RFC 2474), 0 to 63, that packets are marked with. Default: 0. */
  readonly dscp?: number
  /** Bytes that the kernel keeps for us to read. Default: the kernel's, which grows with need. */
  readonly receiveBufferBytes?: number
  /** Bytes that the kernel keeps until the peer has them. Default: the kernel's, which grows with need. */
  readonly sendBufferBytes?: number
}

/** Options of a connection to a peer. */
export interface PeerSocketOptions extends SocketOptions {
  /**
   * Sends the first bytes with the first packet, once the peer has said that it takes them (RFC 7413).
   * A peer that does not answer is then noticed as one that does not answer the request. Default: false.
   */
  readonly tcpFastOpen?: boolean
}

/** Options of a listener; what can be is set on each connection that it accepts. */
export interface ListenerSocketOptions extends SocketOptions {
  /** How many clients may be connecting with data in their first packet (RFC 7413). Default: none may. */
  readonly tcpFastOpen?: number
  /** Lets other sockets listen on the same address, each of which gets a share. Default: false. */
  readonly reusePort?: boolean
  /** Whether a listener on `[::]` takes IPv6 clients only. Default: the system's, mostly false. */
  readonly ipv6Only?: boolean
}

/** An option that the kernel did not take. */
export interface OptionFailure {
  readonly option: SocketOptionName
  /** The negative errno. */
  readonly status: number
}

/**
 * Sets the options of a socket to a peer, before it connects. Returns what failed.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` for a value that is out of range.
 */
export function setPeerOptions(
  sockets: Sockets,
  fd: number,
  address: SocketAddress,
  options: PeerSocketOptions,
): OptionFailure | null {
  const wanted = commonOptions(address, options)
  if (address.kind === 'ip' && options.tcpFastOpen === true) wanted.push(['tcpFastOpenConnect', 1])
  return setAll(sockets, fd, wanted)
}

/** Sets those options of a listener that have to be set before it is bound. Returns what failed. */
export function setBindingOptions(
  sockets: Sockets,
  fd: number,
  address: SocketAddress,
  { reusePort, ipv6Only }: ListenerSocketOptions,
): OptionFailure | null {
  if (address.kind === 'unix') return null
  const wanted: Wanted[] = []
  if (reusePort === true) wanted.push(['reusePort', 1])
  if (ipv6Only !== undefined && isIPv6(address.host)) wanted.push(['ipv6Only', ipv6Only ? 1 : 0])
  return setAll(sockets, fd, wanted)
}

/**
 * Sets the other options of a listener, which on Linux what it accepts inherits. Returns what failed.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` for a value that is out of range.
 */
export function setListenerOptions(
  sockets: Sockets,
  fd: number,
  address: SocketAddress,
  options: ListenerSocketOptions,
): OptionFailure | null {
  const wanted = commonOptions(address, options)
  if (address.kind === 'ip' && options.tcpFastOpen !== undefined)
    wanted.push(['tcpFastOpen', intInRange('tcpFastOpen', options.tcpFastOpen, 0, MAX_INT)])
  return setAll(sockets, fd, wanted)
}

/** The error where sockets cannot be reached by their descriptor. */
export function noSocketOptions(what: string): ProxyError {
  const text = `${what}: socket options and port ranges need Linux and the package koffi`
  return new ProxyError('PGR_NOT_AVAILABLE', text)
}

type Wanted = readonly [option: SocketOptionName, value: number]

function commonOptions(address: SocketAddress, options: SocketOptions): Wanted[] {
  const { receiveBufferBytes, sendBufferBytes, dscp, tcpKeepalive } = options
  const wanted: Wanted[] = []
  if (receiveBufferBytes !== undefined)
    wanted.push(['receiveBuffer', bufferBytes('receiveBufferBytes', receiveBufferBytes)])
  if (sendBufferBytes !== undefined)
    wanted.push(['sendBuffer', bufferBytes('sendBufferBytes', sendBufferBytes)])
  if (address.kind === 'unix') return wanted
  if (dscp !== undefined) {
    // The two low bits are not part of it (RFC 3168).
    const trafficClass = intInRange('dscp', dscp, 0, 63) << 2
    wanted.push(['ipTos', trafficClass])
    if (isIPv6(address.host)) wanted.push(['ipv6TrafficClass', trafficClass])
  }
  if (tcpKeepalive !== undefined) wanted.push(...keepaliveOptions(tcpKeepalive))
  return wanted
}

function keepaliveOptions({ idleMs, intervalMs, count, userTimeoutMs }: TcpKeepalive): Wanted[] {
  const wanted: Wanted[] = [['keepAlive', 1]]
  if (idleMs !== undefined) wanted.push(['keepIdle', seconds('tcpKeepalive.idleMs', idleMs)])
  if (intervalMs !== undefined)
    wanted.push(['keepInterval', seconds('tcpKeepalive.intervalMs', intervalMs)])
  if (count !== undefined)
    wanted.push(['keepCount', intInRange('tcpKeepalive.count', count, 1, MAX_KEEPALIVE_PROBES)])
  if (userTimeoutMs !== undefined)
    wanted.push([
      'userTimeout',
      intInRange('tcpKeepalive.userTimeoutMs', userTimeoutMs, 0, MAX_INT),
    ])
  return wanted
}

function bufferBytes(name: string, bytes: number): number {
  return intInRange(name, bytes, 1, MAX_BUFFER_BYTES)
}

function seconds(name: string, ms: number): number {
  if (ms % 1_000 === 0) return intInRange(name, ms / 1_000, 1, MAX_KEEPALIVE_SECONDS)
  throw new ProxyError('PGR_OPTION_INVALID', `${name}: whole seconds, got ${ms} ms`)
}

function setAll(sockets: Sockets, fd: number, wanted: readonly Wanted[]): OptionFailure | null {
  for (const [option, value] of wanted) {
    const status = sockets.setOption(fd, option, value)
    if (status < 0) return { option, status }
  }
  return null
}

const MAX_INT = 2 ** 31 - 1
/** The kernel doubles it for its own needs. */
const MAX_BUFFER_BYTES = 2 ** 30 - 1
/** Limits of the kernel. */
const MAX_KEEPALIVE_SECONDS = 32_767
const MAX_KEEPALIVE_PROBES = 127
