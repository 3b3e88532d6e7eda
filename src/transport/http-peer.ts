/** `HttpPeer`: one upstream to send a request to, with everything that decides how it is reached. */
import { createHash } from 'node:crypto'
import { ProxyError } from '../error/index.js'
import { parseHostAddress } from './address.js'
import type { Pem, TlsClientOptions } from './tls-client-options.js'

/** How an upstream is reached. All times in ms; 0 switches a time-out off, but for `idleTimeoutMs`. */
export interface PeerOptions {
  /** Speak TLS. Default: false. */
  readonly tls?: boolean
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
  /** Local IP address to connect from. Default: the server's `client_bind_to_ipv4/6`, else any. */
  readonly bindTo?: string
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
  /** What the peer was made from when that was an object, such as a `Backend`. */
  readonly target: object | null
  readonly #options: PeerOptions
  #reuseKey: string | null = null

  /**
   * @param target an address, or anything that has one, such as a `Backend`.
   * @throws {@link ProxyError} `PGR_ADDRESS_INVALID` when a string is not an address.
   */
  constructor(target: string | { readonly address: string }, options: PeerOptions = NO_OPTIONS) {
    if (typeof target === 'string') {
      parseHostAddress(target)
      this.address = target
      this.target = null
    } else {
      this.address = target.address
      this.target = target
    }
    this.tls = options.tls ?? false
    this.sni = options.sni ?? ''
    this.connectTimeoutMs = options.connectTimeoutMs ?? PEER_DEFAULTS.connectTimeoutMs
    this.totalConnectTimeoutMs =
      options.totalConnectTimeoutMs ?? PEER_DEFAULTS.totalConnectTimeoutMs
    this.readTimeoutMs = options.readTimeoutMs ?? PEER_DEFAULTS.readTimeoutMs
    this.writeTimeoutMs = options.writeTimeoutMs ?? PEER_DEFAULTS.writeTimeoutMs
    this.idleTimeoutMs = options.idleTimeoutMs ?? PEER_DEFAULTS.idleTimeoutMs
    this.bindTo = options.bindTo ?? ''
    this.#options = options
  }

  /**
   * Connections may be shared exactly by peers with equal keys: everything that decides where a
   * connection leads and how far it is trusted is in it. (Pingora leaves out the CA and the local
   * address, so that a connection verified against one CA can serve a peer that trusts another.)
   */
  get reuseKey(): string {
    this.#reuseKey ??= this.#makeReuseKey()
    return this.#reuseKey
  }

  /** Longest time without a byte in either direction of a tunnel, in ms; 0: no limit. */
  get tunnelTimeoutMs(): number {
    return this.#options.tunnelTimeoutMs ?? PEER_DEFAULTS.tunnelTimeoutMs
  }

  #makeReuseKey(): string {
    const options = this.#options
    const group = options.groupKey ?? ''
    if (!this.tls) {
      return group === '' && this.bindTo === ''
        ? this.address
        : `${this.address}|${this.bindTo}|${group}`
    }
    const verify = `${options.verify ?? true}${options.verifyHostname ?? true}`
    const names = `${this.sni}|${options.alternativeName ?? ''}`
    const pems = `${pemKey(options.ca)}|${pemKey(options.cert)}`
    return `${this.address}|tls|${names}|${verify}|${pems}|${this.bindTo}|${group}`
  }

  /** What the TLS handshake needs; only for a peer with `tls`. @param defaultCa trusted when the peer names no CA. */
  tlsOptions(defaultCa?: Pem): TlsClientOptions {
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
      alpn: ['http/1.1'],
      sessionKey: this.reuseKey,
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

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

/** Weak: the entry goes with the certificate. */
const PEM_KEYS = new WeakMap<object, string>()
const NO_OPTIONS: PeerOptions = Object.freeze({})
