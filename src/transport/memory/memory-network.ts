/** `MemoryNetwork`: connections within one process, on a clock, with every fault a network can have. */
import { constants } from 'node:os'
import { isIPv6 } from 'node:net'
import { ProxyError } from '../../error/index.js'
import type { Clock } from '../../time/index.js'
import { formatAddress, parseSocketAddress } from '../address.js'
import type { HostAddress, SocketAddress } from '../address.js'
import type { Connection } from '../connection.js'
import type { ConnectionDigest } from '../digest.js'
import type { DialOptions, Listener, Network, Random } from '../environment.js'
import { giveConnection } from '../give-connection.js'
import type { ListenOptions } from '../listen-options.js'
import { dialError, listenError, resolveError } from '../node/system-errors.js'
import { UV_EADDRNOTAVAIL, statusError } from '../node/tcp-binding.js'
import type { TlsClientOptions } from '../tls-client-options.js'
import type { TlsServerOptions } from '../tls-server-options.js'
import { DiallerAddresses } from './dialler-addresses.js'
import { resolveLink } from './link-options.js'
import type { LinkOptions, ResolvedLink } from './link-options.js'
import { MemoryConnection } from './memory-connection.js'
import { MemoryDial } from './memory-dial.js'
import { MemoryRoute } from './memory-route.js'
import type { MemoryWorld } from './memory-route.js'
import { MemoryTls } from './memory-tls.js'
import type { AcceptedTls, MemoryTlsOptions } from './memory-tls.js'
import type { HandshakeEnd } from './memory-tls-hello.js'
import { MemoryWire } from './memory-wire.js'
import type { WireSide } from './memory-wire.js'

/** What a {@link MemoryNetwork} is made from. */
export interface MemoryNetworkOptions {
  /** Everything that happens on the network is a call of this clock. */
  readonly clock: Clock
  /** Draws the sizes of random pieces. Default: a fixed sequence of its own. */
  readonly random?: Random
  /** How all links are that {@link MemoryNetwork.setLink} says nothing of. Default: no delay, no limit. */
  readonly link?: LinkOptions
  /** The IP addresses of each name; other names are not found. Default: none. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  /** Told of each event on the network, as one line. Default: nobody is told. */
  readonly trace?: (line: string) => void
  /** Told of what a connection's handler threw. Default: nobody is told. */
  readonly onUncaught?: (error: unknown) => void
}

/** A listening address, as parts or as the text that `parseSocketAddress` reads. */
export type ListeningAddress = SocketAddress | string

/**
 * A network of any number of machines, on which every address is free to be listened on. Nothing is
 * delivered within a call: bytes, ends, resets and connects arrive in calls of the clock, at the
 * same instant when the link has no latency. So runs are deterministic. Faults are told by the
 * listening address, whether somebody listens there or not.
 */
export class MemoryNetwork implements Network {
  onUncaught: (error: unknown) => void
  readonly #world: MemoryWorld
  readonly #defaultLink: ResolvedLink
  readonly #names: Readonly<Record<string, readonly string[]>>
  readonly #routes = new Map<string, MemoryRoute>()
  readonly #listeners = new Map<string, MemoryListener>()
  readonly #tls = new MemoryTls()
  readonly #open = new Set<MemoryConnection>()
  /** Connections that TLS may be started on. */
  readonly #forTls = new WeakSet<MemoryConnection>()
  readonly #diallers = new DiallerAddresses()
  #freePort = FIRST_LISTENING_PORT
  readonly #report = (error: unknown): void => {
    this.onUncaught(error)
  }
  readonly #forget = (connection: MemoryConnection): void => {
    this.#open.delete(connection)
  }

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` when `link` is out of range. */
  constructor(options: MemoryNetworkOptions) {
    const { clock, random = fixedSequence(), link = {}, names = {}, trace = null } = options
    this.#world = { clock, random, trace }
    this.#defaultLink = resolveLink(link)
    this.#names = names
    this.onUncaught = options.onUncaught ?? ignore
  }

  dial(address: SocketAddress, options: DialOptions): Promise<MemoryConnection> {
    const { signal } = options
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    const peer = formatAddress(address)
    const local = this.#diallers.next(address, options.localAddress)
    if (local === null) {
      return Promise.reject(dialError(peer, statusError(UV_EADDRNOTAVAIL, 'bind')))
    }
    const route = this.#route(this.#listeningAddress(address))
    const localAddress = formatAddress(local)
    const dial = new MemoryDial({
      route,
      signal,
      accept: () => this.#accept(route, local, peer),
      connect: (wire) => {
        const peerIp = address.kind === 'ip' ? address.host : ''
        const establishedMs = this.#world.clock.nowMs()
        const digest = { peerAddress: peer, localAddress, peerIp, establishedMs, tls: null }
        const connection = this.#connection(wire, 'dialler', digest)
        if (options.forTls === true) this.#forTls.add(connection)
        return connection
      },
      refused: () => dialError(peer, statusError(UV_ECONNREFUSED, 'connect')),
    })
    return dial.result
  }

  startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<MemoryConnection> {
    if (!(connection instanceof MemoryConnection) || !this.#forTls.has(connection)) {
      connection.destroy()
      return Promise.reject(
        new ProxyError('PGR_INTERNAL', 'TLS was asked for on a foreign connection'),
      )
    }
    this.#forTls.delete(connection)
    if (connection.destroyed) {
      const text = `TLS ${connection.digest.peerAddress}: the connection is closed`
      return Promise.reject(new ProxyError('PGR_TLS_HANDSHAKE_FAILED', text))
    }
    return this.#secured(connection, 'dialler', (end) => {
      this.#tls.start(connection, options, signal, end)
    })
  }

  startServerTls(
    connection: Connection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<MemoryConnection> {
    if (!(connection instanceof MemoryConnection) || !connection.wire.startsTls) {
      connection.destroy()
      return Promise.reject(
        new ProxyError('PGR_INTERNAL', 'TLS was asked for on a foreign connection'),
      )
    }
    const { peerAddress } = connection.digest
    if (connection.destroyed || (prefix !== undefined && prefix.length > 0)) {
      connection.destroy()
      const text = `TLS ${peerAddress}: the client does not speak TLS`
      return Promise.reject(new ProxyError('PGR_CLIENT_TLS_FAILED', text))
    }
    return this.#secured(connection, 'listener', (end) => {
      this.#tls.listening.start(connection, options, signal, end)
    })
  }

  listen(
    address: SocketAddress,
    { forTls = false }: ListenOptions,
    onConnection: (connection: MemoryConnection) => void,
  ): Promise<Listener> {
    const bound = this.#withPort(address)
    const text = formatAddress(bound)
    if (this.#listeners.has(text)) {
      return Promise.reject(listenError(text, statusError(UV_EADDRINUSE, 'listen')))
    }
    const listener: MemoryListener = { address: bound, forTls, onConnection }
    this.#listeners.set(text, listener)
    const close = (): Promise<void> => {
      if (this.#listeners.get(text) === listener) this.#listeners.delete(text)
      return Promise.resolve()
    }
    return Promise.resolve({ address: bound, close })
  }

  resolve(address: HostAddress): Promise<SocketAddress[]> {
    if (address.kind !== 'name') return Promise.resolve([address])
    const { host, port } = address
    const found = Object.hasOwn(this.#names, host) ? this.#names[host] : undefined
    if (found === undefined) {
      const cause = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
      return Promise.reject(resolveError(host, cause))
    }
    return Promise.resolve(found.map((ip) => ({ kind: 'ip', host: ip, port })))
  }

  // Links and faults

  /**
   * Sets how connections to `address` are from now on; what `options` leaves open is as in the
   * network's own `link`. @throws {@link ProxyError} `PGR_OPTION_INVALID`, `PGR_ADDRESS_INVALID`.
   */
  setLink(address: ListeningAddress, options: LinkOptions): void {
    this.#route(address).link = resolveLink(options, this.#defaultLink)
  }

  /** How connections to `address` are from now on. */
  link(address: ListeningAddress): ResolvedLink {
    return this.#route(address).link
  }

  /** Refuses connects to `address`, even when somebody listens there. */
  refuse(address: ListeningAddress): void {
    this.#route(address).break('refused')
  }

  /** Leaves connects and TLS handshakes to `address` without an answer until it is healed. */
  blackhole(address: ListeningAddress): void {
    this.#route(address).break('blackholed')
  }

  /** Holds everything on its way to and from `address`, in order, until it is healed. */
  partition(address: ListeningAddress): void {
    this.#route(address).break('partitioned')
  }

  /** Takes back all faults of `address`; what was held arrives now, in order. */
  heal(address: ListeningAddress): void {
    this.#route(address).heal()
  }

  /** Sends a reset to both ends of every connection to `address`. */
  resetAll(address: ListeningAddress): void {
    this.#route(address).resetAll()
  }

  // TLS

  /**
   * Makes the listener at `address` speak TLS, for connections from now on. Bytes still travel in
   * the clear; a client that sends some without a handshake is reset.
   */
  serveTls(address: ListeningAddress, options: MemoryTlsOptions): void {
    this.#tls.serve(this.#route(address).address, options)
  }

  /** What an accepted connection knows of its TLS session; `undefined` without a handshake. */
  acceptedTls(connection: Connection): AcceptedTls | undefined {
    if (!(connection instanceof MemoryConnection)) return undefined
    return this.#tls.acceptedOn(connection.wire)
  }

  // What there is

  /** Both ends of all connections, as long as they are not closed. */
  get open(): ReadonlySet<MemoryConnection> {
    return this.#open
  }

  /** The addresses that are listened on, as text. */
  get listening(): string[] {
    return [...this.#listeners.keys()]
  }

  #route(address: ListeningAddress): MemoryRoute {
    const parts = typeof address === 'string' ? parseSocketAddress(address) : address
    const text = formatAddress(parts)
    let route = this.#routes.get(text)
    if (route === undefined) {
      route = new MemoryRoute(text, this.#world, this.#defaultLink)
      this.#routes.set(text, route)
    }
    return route
  }

  /** Who listens on all addresses of its machine is reached there by the loopback ones. */
  #listeningAddress(address: SocketAddress): SocketAddress {
    if (address.kind === 'unix' || this.#listeners.has(formatAddress(address))) return address
    const { host, port } = address
    if (!host.startsWith('127.') && host !== '::1') return address
    for (const wildcard of isIPv6(host) ? ['::'] : ['0.0.0.0', '::']) {
      const listening: SocketAddress = { kind: 'ip', host: wildcard, port }
      if (this.#listeners.has(formatAddress(listening))) return listening
    }
    return address
  }

  /** A connect arrives: makes the wire and gives the listener its end; `null` when it is refused. */
  #accept(route: MemoryRoute, peer: SocketAddress, localAddress: string): MemoryWire | null {
    const { clock, trace } = this.#world
    const peerAddress = formatAddress(peer)
    const listener = this.#listeners.get(route.address)
    if (listener === undefined || route.has('refused')) {
      trace?.(`refused ${peerAddress} -> ${localAddress}`)
      return null
    }
    trace?.(`connect ${peerAddress} -> ${localAddress}`)
    const wire = new MemoryWire(route, [peerAddress, localAddress])
    wire.startsTls = listener.forTls
    wire.toListener.acceptsBytes = this.#tls.serverAt(route.address) === undefined
    const peerIp = peer.kind === 'ip' ? peer.host : ''
    const digest = { peerAddress, localAddress, peerIp, establishedMs: clock.nowMs(), tls: null }
    const accepted = this.#connection(wire, 'listener', digest)
    giveConnection(accepted, listener.onConnection, this.#report)
    return wire
  }

  /** Uses `plain`, the end at `side`, up; resolves to what secures it when the handshake has succeeded. */
  #secured(
    plain: MemoryConnection,
    side: WireSide,
    begin: (end: HandshakeEnd) => void,
  ): Promise<MemoryConnection> {
    plain.detach()
    return new Promise((resolve, reject) => {
      begin((failure, digest) => {
        this.#open.delete(plain)
        if (failure === null) resolve(this.#connection(plain.wire, side, digest))
        else reject(failure)
      })
    })
  }

  #connection(wire: MemoryWire, side: WireSide, digest: ConnectionDigest): MemoryConnection {
    const onUncaught = this.#report
    const onClosed = this.#forget
    const connection = new MemoryConnection({ wire, side, digest, onUncaught, onClosed })
    this.#open.add(connection)
    return connection
  }

  #withPort(address: SocketAddress): SocketAddress {
    if (address.kind === 'unix' || address.port !== 0) return address
    for (;;) {
      const bound = { ...address, port: this.#freePort++ }
      if (!this.#listeners.has(formatAddress(bound))) return bound
    }
  }
}

interface MemoryListener {
  readonly address: SocketAddress
  readonly forTls: boolean
  readonly onConnection: (connection: MemoryConnection) => void
}

/** The least random chance there is, for a network that is given none; by Park and Miller. */
function fixedSequence(): Random {
  let state = 1
  const next = (): number => {
    state = (state * 48_271) % 0x7fffffff
    return state / 0x7fffffff
  }
  return { next }
}

function ignore(): void {
  // Nobody asked to be told.
}

const UV_ECONNREFUSED = -constants.errno.ECONNREFUSED
const UV_EADDRINUSE = -constants.errno.EADDRINUSE
/** Where the ports begin that are given to who listens on port 0. */
const FIRST_LISTENING_PORT = 50_000
