/** `HttpPeer`: one upstream to send a request to, with everything that decides how it is reached. */
import { createHash } from 'node:crypto'
import { ProxyError, intInRange } from '../error/index.js'
import { parseHostAddress } from './address.js'
import type { SocketAddress } from './address.js'
import { clientProxyHeader } from './client-proxy-header.js'
import type { ConnectProxyOptions } from './connect-tunnel.js'
import type { ConnectionDigest } from './digest.js'
import type { DialOptions } from './environment.js'
import type { PeerSocketOptions } from './socket-options.js'
import type { Pem, TlsClientOptions } from './tls-client-options.js'

/**
 * What is spoken to an upstream. `h2`: HTTP/2, agreed on in the TLS handshake; `h2c`: HTTP/2 in the clear,
 * which the peer must be known to speak; `auto`: HTTP/2 where the TLS handshake agrees on it, else HTTP/1.1.
 */
export type UpstreamProtocol = 'http1' | 'h2' | 'h2c' | 'auto'

/** Where a connection comes from. */
export interface BindTo {
  /** Local IP address. Default: the server's `client_bind_to_ipv4/6`, else any. */
  readonly address?: string
  /** First and last local port, on Linux 6.3 and newer. Default: the system's range. */
  readonly ports?: readonly [low: number, high: number]
  /** Takes any port when none of `ports` is free. Default: false. */
  readonly fallback?: boolean
}

/** How an upstream is reached. All times in ms; 0 switches a time-out off, but for `idleTimeoutMs`. */
export interface PeerOptions {
  /** Speak TLS. Default: false. */
  readonly tls?: boolean
  /** What is spoken; `auto` without `tls` is `http1`. Default: `http1`. */
  readonly protocol?: UpstreamProtocol
  /**
   * Requests at once on one HTTP/2 connection, from 1; fewer where the peer allows fewer. More need
   * fewer connections, but what delays one delays all on it. Default: 1, as in Pingora.
   */
  readonly maxH2Streams?: number
  /** Time between two pings of an HTTP/2 connection, in use or not; 0: none are sent. Default: 0. */
  readonly h2PingIntervalMs?: number
  /** Name to ask for by SNI and to verify. Default: empty; then the IP address itself is verified. */
  readonly sni?: string
  /** Verify the certificate, chain and name. Default: true. */
  readonly verify?: boolean
  /** Verify the name; only with `verify`. Default: true. */
  readonly verifyHostname?: boolean
  /** A further name that the certificate may be for, in place of `sni`. Default: none. */
  readonly alternativeName?: string
  /** Trusted certificates. Default: the server's `ca_file`, else those that Node brings along. */
  readonly ca?: Pem
  /** Our certificate chain for peers that ask for one, leaf first. */
  readonly cert?: Pem
  /** The key of `cert`. */
  readonly key?: Pem
  /** Local IP address to connect from, or more. Default: the server's `client_bind_to_ipv4/6`, else any. */
  readonly bindTo?: string | BindTo
  /** Options of the socket. Default: those of the system. */
  readonly socket?: PeerSocketOptions
  /** An HTTP proxy that the peer is reached through, by `CONNECT`. Default: none. */
  readonly proxy?: ConnectProxyOptions
  /**
   * Version of a PROXY header that goes before all else and tells the peer who the client is. Such a
   * connection is kept for the same client only. Default: none is sent.
   */
  readonly proxyProtocol?: 1 | 2
  /** Peers with different group keys never share a connection. Default: empty. */
  readonly groupKey?: string
  /** Time for TCP connect, and again for the TLS handshake. Default: 1000. */
  readonly connectTimeoutMs?: number
  /** Time for name, connect and TLS together. Default: 3000. */
  readonly totalConnectTimeoutMs?: number
  /** Longest gap between bytes from the peer while an answer is awaited. Default: 60000. */
  readonly readTimeoutMs?: number
  /** Longest time in which the peer takes none of the bytes that wait. Default: 60000. */
  readonly writeTimeoutMs?: number
  /** Longest time in the pool; 0: the connection is not used again. Default: 60000. */
  readonly idleTimeoutMs?: number
  /** Longest time without a byte in either direction of a tunnel, such as a WebSocket. Default: 300000. */
  readonly tunnelTimeoutMs?: number
}

/** The defaults of {@link PeerOptions}, contract for every peer. */
export const PEER_DEFAULTS: {
  readonly connectTimeoutMs: number
  readonly totalConnectTimeoutMs: number
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly tunnelTimeoutMs: number
} = Object.freeze({
  connectTimeoutMs: 1_000,
  totalConnectTimeoutMs: 3_000,
  readTimeoutMs: 60_000,
  writeTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  tunnelTimeoutMs: 300_000,
})

/** One upstream. Made for every attempt, so the constructor only copies. */
export class HttpPeer {
  /** `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`. */
  readonly address: string
  /** Whether TLS is spoken. */
  readonly tls: boolean
  /** What is spoken; never `auto` without TLS, where nothing can be agreed on. */
  readonly protocol: UpstreamProtocol
  /** The name asked for by SNI; may be empty. */
  readonly sni: string
  /** Time for TCP connect, and again for the TLS handshake, in ms; 0: no limit. */
  readonly connectTimeoutMs: number
  /** Time for name, connect and TLS together, in ms; 0: no limit. */
  readonly totalConnectTimeoutMs: number
  /** Longest gap between bytes from the peer while an answer is awaited, in ms; 0: no limit. */
  readonly readTimeoutMs: number
  /** Longest time in which the peer takes none of the bytes that wait, in ms; 0: no limit. */
  readonly writeTimeoutMs: number
  /** Longest time in the pool, in ms; 0: the connection is not used again. */
  readonly idleTimeoutMs: number
  /** Local IP address to connect from; empty: any. */
  readonly bindTo: string
  /** First and last local port; `null`: any. */
  readonly bindPorts: readonly [low: number, high: number] | null
  /** The HTTP proxy on the way; `null`: none. */
  readonly proxy: ConnectProxyOptions | null
  /** What the peer was made from when that was an object, such as a `Backend`. */
  readonly target: object | null
  readonly #options: PeerOptions
  readonly #client: ConnectionDigest | null
  #reuseKey: string | null = null
  #preamble: Buffer | null = null

  /**
   * @param target an address, or anything that has one, such as a `Backend`.
   * @param client whom a PROXY header tells of. Default: nobody, the connection is our own.
   * @throws {@link ProxyError} `PGR_ADDRESS_INVALID` when a string is not an address;
   * `PGR_OPTION_INVALID` for a protocol that does not go with `tls`, or numbers out of range beside it.
   */
  constructor(
    target: string | { readonly address: string },
    options: PeerOptions = NO_OPTIONS,
    client: ConnectionDigest | null = null,
  ) {
    if (typeof target === 'string') {
      parseHostAddress(target)
      this.address = target
      this.target = null
    } else {
      this.address = target.address
      this.target = target
    }
    this.tls = options.tls ?? false
    this.protocol = options.protocol === undefined ? 'http1' : checkedProtocol(options, this.tls)
    this.sni = options.sni ?? ''
    this.connectTimeoutMs = options.connectTimeoutMs ?? PEER_DEFAULTS.connectTimeoutMs
    this.totalConnectTimeoutMs =
      options.totalConnectTimeoutMs ?? PEER_DEFAULTS.totalConnectTimeoutMs
    this.readTimeoutMs = options.readTimeoutMs ?? PEER_DEFAULTS.readTimeoutMs
    this.writeTimeoutMs = options.writeTimeoutMs ?? PEER_DEFAULTS.writeTimeoutMs
    this.idleTimeoutMs = options.idleTimeoutMs ?? PEER_DEFAULTS.idleTimeoutMs
    const { bindTo = '' } = options
    this.bindTo = typeof bindTo === 'string' ? bindTo : (bindTo.address ?? '')
    this.bindPorts = typeof bindTo === 'string' ? null : (bindTo.ports ?? null)
    this.proxy = options.proxy ?? null
    this.#client = client
    this.#options = options
  }

  /** Requests at once on one HTTP/2 connection. */
  get maxH2Streams(): number {
    return this.#options.maxH2Streams ?? 1
  }

  /** Time between two pings of an HTTP/2 connection, in ms; 0: none. */
  get h2PingIntervalMs(): number {
    return this.#options.h2PingIntervalMs ?? 0
  }

  /** This peer, on a connection for one client where it is to be told of the client. */
  forClient(client: ConnectionDigest): HttpPeer {
    if (this.#options.proxyProtocol === undefined) return this
    const target = this.target as { readonly address: string } | null
    return new HttpPeer(target ?? this.address, this.#options, client)
  }

  /** What goes before all else on a new connection: a PROXY header; `null`: nothing does. */
  get preamble(): Buffer | null {
    const { proxyProtocol } = this.#options
    if (proxyProtocol === undefined) return null
    this.#preamble ??= clientProxyHeader(proxyProtocol, this.#client)
    return this.#preamble
  }

  /** How the peer, or the proxy on the way to it, is dialled at `address`. */
  dialOptions(address: SocketAddress): DialOptions {
    const { socket } = this.#options
    const options: DialOptions = { forTls: this.tls, ...(socket !== undefined && { socket }) }
    if (address.kind === 'unix') return options
    return {
      ...options,
      ...(this.bindTo !== '' && { localAddress: this.bindTo }),
      ...(this.bindPorts !== null && { localPorts: this.bindPorts }),
    }
  }

  /** Whether any local port will do when none of `bindPorts` is free. */
  get bindFallback(): boolean {
    const { bindTo } = this.#options
    return typeof bindTo === 'object' && bindTo.fallback === true
  }

  /**
   * Connections may be shared exactly by peers with equal keys: everything that decides where a
   * connection leads and how far it is trusted is in it. (Pingora leaves out the CA and the local
   * address, so that a connection verified against one CA can serve a peer that trusts another.)
   */
  get reuseKey(): string {
    this.#reuseKey ??= this.#makeKey(this.#way())
    return this.#reuseKey
  }

  /** Longest time without a byte in either direction of a tunnel, in ms; 0: no limit. */
  get tunnelTimeoutMs(): number {
    return this.#options.tunnelTimeoutMs ?? PEER_DEFAULTS.tunnelTimeoutMs
  }

  #makeKey(way: string): string {
    const options = this.#options
    const group = options.groupKey ?? ''
    if (!this.tls) {
      return group === '' && way === '' ? this.address : `${this.address}|${way}|${group}`
    }
    const verify = `${options.verify ?? true}${options.verifyHostname ?? true}`
    const names = `${this.sni}|${options.alternativeName ?? ''}`
    const pems = `${pemKey(options.ca)}|${pemKey(options.cert)}`
    return `${this.address}|tls|${names}|${verify}|${pems}|${way}|${group}`
  }

  /** Where a connection comes from, what it passes through, and whom it is for. */
  #way(): string {
    const { bindTo, proxy, proxyProtocol, socket } = this.#options
    if (proxyProtocol === undefined && proxy === undefined && socket === undefined) {
      if (typeof bindTo !== 'object') return this.bindTo
    }
    const client = this.preamble?.toString('base64') ?? ''
    const parts = [this.bindTo, client]
    for (const object of [bindTo, proxy, socket]) parts.push(objectKey(object))
    return parts.join(',')
  }

  /**
   * What the TLS handshake needs; only for a peer with `tls`.
   * @param defaultCa trusted when the peer names no CA.
   * @param alpn protocols to offer. Default: those of `protocol`.
   */
  tlsOptions(defaultCa?: Pem, alpn: readonly string[] = ALPN[this.protocol]): TlsClientOptions {
    const options = this.#options
    const verifyChain = options.verify ?? true
    const verifyName = verifyChain && (options.verifyHostname ?? true) ? this.#nameToVerify() : ''
    const ca = options.ca ?? defaultCa
    return {
      sni: this.sni,
      verifyName,
      verifyChain,
      ...(ca !== undefined && { ca }),
      ...(options.cert !== undefined && { cert: options.cert }),
      ...(options.key !== undefined && { key: options.key }),
      alpn,
      // A session is between the peer and us, whoever a connection is for.
      sessionKey: this.#client === null ? this.reuseKey : this.#makeKey(''),
    }
  }

  /** Without SNI the address itself must stand in the certificate; a unix path never can. */
  #nameToVerify(): string {
    const name = this.#options.alternativeName ?? this.sni
    if (name !== '') return name
    const address = parseHostAddress(this.address)
    if (address.kind !== 'unix') return address.host
    throw new ProxyError(
      'PGR_OPTION_INVALID',
      `${this.address}: TLS over a unix socket needs sni, or verify: false`,
    )
  }

  /** The address, and whether and by which name TLS is spoken; for messages. */
  toString(): string {
    return this.tls
      ? `${this.address} (TLS${this.sni === '' ? '' : `, ${this.sni}`})`
      : this.address
  }
}

function checkedProtocol(options: PeerOptions, tls: boolean): UpstreamProtocol {
  const { protocol = 'http1', maxH2Streams = 1, h2PingIntervalMs = 0 } = options
  intInRange('maxH2Streams', maxH2Streams, 1, MAX_STREAMS)
  intInRange('h2PingIntervalMs', h2PingIntervalMs, 0, MAX_INTERVAL_MS)
  if (protocol === 'auto' && !tls) return 'http1'
  if (protocol === 'h2' && !tls)
    throw new ProxyError('PGR_OPTION_INVALID', 'protocol h2 needs tls; in the clear it is h2c')
  if (protocol === 'h2c' && tls)
    throw new ProxyError('PGR_OPTION_INVALID', 'protocol h2c is without tls; with it it is h2')
  if (!Object.hasOwn(ALPN, protocol))
    throw new ProxyError('PGR_OPTION_INVALID', `protocol: got ${JSON.stringify(protocol)}`)
  return protocol
}

/** A short text that is equal for equal certificates. Hashed once per object. */
function pemKey(pem: Pem | undefined): string {
  if (pem === undefined) return ''
  if (typeof pem === 'string') return hash(pem)
  let key = PEM_KEYS.get(pem)
  if (key === undefined) {
    const parts = Array.isArray(pem) ? (pem as readonly (string | Buffer)[]) : [pem as Buffer]
    key = hash(parts.map(String).join('\n'))
    PEM_KEYS.set(pem, key)
  }
  return key
}

/** A short text that is equal for equal objects, and tells nobody what is in them. Hashed once per object. */
function objectKey(object: unknown): string {
  if (typeof object !== 'object' || object === null) return ''
  let key = OBJECT_KEYS.get(object)
  if (key === undefined) {
    key = hash(JSON.stringify(object))
    OBJECT_KEYS.set(object, key)
  }
  return key
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

/** What HTTP/2 can count (RFC 9113 §5.1.1). */
const MAX_STREAMS = 2 ** 31 - 1
const MAX_INTERVAL_MS = 86_400_000
/** The protocols that each choice offers, the preferred one first. */
const ALPN: Readonly<Record<UpstreamProtocol, readonly string[]>> = Object.freeze({
  http1: ['http/1.1'],
  h2: ['h2'],
  h2c: [],
  auto: ['h2', 'http/1.1'],
})
/** Weak: the entry goes with the certificate. */
const PEM_KEYS = new WeakMap<object, string>()
const OBJECT_KEYS = new WeakMap<object, string>()
const NO_OPTIONS: PeerOptions = Object.freeze({})
