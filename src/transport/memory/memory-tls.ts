/** `MemoryTls`: TLS as far as it decides whether a connection stands; bytes go on in the clear. */
import { SocketAddress as IpAddress, isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { LruMap } from '../../collections/index.js'
import { ProxyError } from '../../error/index.js'
import type { TlsClientOptions } from '../tls-client-options.js'
import type { MemoryConnection } from './memory-connection.js'
import { agreedProtocol, sniOf } from './memory-tls-hello.js'
import type { Answer, Greeting, HandshakeEnd } from './memory-tls-hello.js'
import { MemoryTlsServer } from './memory-tls-server.js'
import type { MemoryWire } from './memory-wire.js'

/** How a listener of the memory network speaks TLS. */
export interface MemoryTlsOptions {
  /** The names and IP addresses that its certificate is for; a name may begin with `*.`. */
  readonly names: readonly string[]
  /** Whether clients that verify the chain trust it. Default: true. */
  readonly trusted?: boolean
  /** Protocols it speaks, the preferred one first; empty takes part in no ALPN. Default: none. */
  readonly alpn?: readonly string[]
}

/** What a listener knows of a TLS session. */
export interface AcceptedTls {
  /** The name that the client asked for; empty when it asked for none. */
  readonly sni: string
  /** The protocol agreed on by ALPN; empty when none was. */
  readonly alpn: string
}

/** Knows who speaks TLS, and shakes hands. */
export class MemoryTls {
  /** The listening ends that start TLS by themselves. */
  readonly listening: MemoryTlsServer = new MemoryTlsServer()
  readonly #servers = new Map<string, MemoryTlsOptions>()
  readonly #accepted = new WeakMap<MemoryWire, AcceptedTls>()
  readonly #sessions = new LruMap<string, object>(MAX_SESSIONS)

  /** Makes the listener at `address` speak TLS, for connections from now on. */
  serve(address: string, options: MemoryTlsOptions): void {
    this.#servers.set(address, options)
  }

  /** How the listener at `address` speaks TLS. */
  serverAt(address: string): MemoryTlsOptions | undefined {
    return this.#servers.get(address)
  }

  /** What the listening end of a wire knows of its TLS session. */
  acceptedOn(wire: MemoryWire): AcceptedTls | undefined {
    return this.#accepted.get(wire)
  }

  /** What `Network.startTls` does, in one round trip; `plain` is detached by then. */
  start(
    plain: MemoryConnection,
    options: TlsClientOptions,
    signal: AbortSignal | undefined,
    end: HandshakeEnd,
  ): void {
    new Handshake({ tls: this, plain, options, signal, end }).start()
  }

  /** The listener's part of a handshake; `answer` is called once, now or when it starts TLS. */
  greet(wire: MemoryWire, options: TlsClientOptions, answer: (answer: Answer) => void): void {
    const server = this.#servers.get(wire.route.address)
    if (server !== undefined) answer(this.#greetingOf(wire, server, options))
    else if (wire.startsTls) this.listening.hello(wire, options, answer)
    else answer('the peer does not speak TLS')
  }

  /** Whether a session with these options is resumed; from now on it can be. */
  resume(address: string, options: TlsClientOptions, { identity }: Greeting): boolean {
    const { sessionKey, sni, verifyName, verifyChain } = options
    if (sessionKey === '') return false
    const key = [address, verifyChain, verifyName, sni, sessionKey].join('\n')
    const resumed = this.#sessions.get(key) === identity
    this.#sessions.set(key, identity)
    return resumed
  }

  #greetingOf(wire: MemoryWire, server: MemoryTlsOptions, options: TlsClientOptions): Answer {
    const { names, trusted = true } = server
    const alpn = agreedProtocol(server.alpn ?? [], options.alpn)
    if (alpn === undefined) return 'no application protocol in common'
    this.#accepted.set(wire, { sni: sniOf(options), alpn })
    return { alpn, names, isTrusted: trusted, certificate: null, identity: server }
  }
}

interface HandshakeParts {
  readonly tls: MemoryTls
  readonly plain: MemoryConnection
  readonly options: TlsClientOptions
  readonly signal: AbortSignal | undefined
  readonly end: HandshakeEnd
}

/** One handshake: ends once, with the wire secured or given up. */
class Handshake {
  readonly #parts: HandshakeParts
  #done = false
  #startedMs = 0
  #received: Answer = ''

  constructor(parts: HandshakeParts) {
    this.#parts = parts
  }

  start(): void {
    const { plain, signal } = this.#parts
    if (signal?.aborted === true) {
      this.#fail(signal.reason as Error)
      return
    }
    const { route, link, toDialler } = plain.wire
    this.#startedMs = route.world.clock.nowMs()
    toDialler.onArrival = () => {
      if (toDialler.finArrived || toDialler.resetArrived) this.#failWith(CLOSED)
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    route.world.clock.schedule(link.latencyMs, this.#arrive)
  }

  readonly #arrive = (): void => {
    if (this.#done) return
    const { tls, plain, options } = this.#parts
    const { route, link } = plain.wire
    if (route.isSilent) {
      route.hold(this.#arrive)
      return
    }
    tls.greet(plain.wire, options, (answer) => {
      this.#received = answer
      plain.wire.toListener.acceptsBytes = true
      route.world.clock.schedule(link.latencyMs, this.#answer)
    })
  }

  readonly #answer = (): void => {
    if (this.#done) return
    const { plain, options } = this.#parts
    const { route, toDialler } = plain.wire
    if (route.isPartitioned) {
      route.hold(this.#answer)
      return
    }
    if (typeof this.#received === 'string') {
      this.#failWith(this.#received)
      return
    }
    if (toDialler.finArrived || toDialler.resetArrived) {
      this.#failWith(CLOSED)
      return
    }
    const refusal = refusalOf(this.#received, options)
    if (refusal !== '') {
      this.#failWith(refusal, 'PGR_CERTIFICATE_INVALID')
      return
    }
    this.#succeed(this.#received)
  }

  #succeed(greeting: Greeting): void {
    const { tls, plain, options, end } = this.#parts
    const { route, link, startsTls } = plain.wire
    const { clock } = route.world
    const resumed = tls.resume(route.address, options, greeting)
    this.#settle()
    if (startsTls) clock.schedule(link.latencyMs, this.#finish)
    const establishedMs = clock.nowMs()
    end(null, {
      ...plain.digest,
      establishedMs,
      tls: {
        version: 'TLSv1.3',
        cipher: 'TLS_AES_256_GCM_SHA384',
        sni: options.sni,
        alpn: greeting.alpn,
        resumed,
        handshakeMs: establishedMs - this.#startedMs,
        peerCertificate: greeting.certificate,
        peerVerified: greeting.certificate !== null && options.verifyChain,
      },
    })
  }

  readonly #finish = (): void => {
    const { tls, plain } = this.#parts
    const { route } = plain.wire
    if (route.isPartitioned) route.hold(this.#finish)
    else tls.listening.finished(plain.wire)
  }

  #failWith(
    what: string,
    code: 'PGR_TLS_HANDSHAKE_FAILED' | 'PGR_CERTIFICATE_INVALID' = 'PGR_TLS_HANDSHAKE_FAILED',
  ): void {
    this.#fail(new ProxyError(code, `TLS ${this.#parts.plain.digest.peerAddress}: ${what}`))
  }

  #fail(error: Error): void {
    const { plain, end } = this.#parts
    this.#settle()
    plain.wire.abandon('dialler')
    end(error, plain.digest)
  }

  #settle(): void {
    const { plain, signal } = this.#parts
    const { route } = plain.wire
    this.#done = true
    signal?.removeEventListener('abort', this.#onAbort)
    plain.wire.toDialler.onArrival = null
    route.release(this.#arrive)
    route.release(this.#answer)
  }

  readonly #onAbort = (): void => {
    this.#fail(this.#parts.signal?.reason as Error)
  }
}

/** Why the certificate of a listener is refused; empty when it is not. */
function refusalOf(greeting: Greeting, { verifyChain, verifyName }: TlsClientOptions): string {
  if (!verifyChain) return ''
  if (!greeting.isTrusted) return 'unable to verify the first certificate'
  return verifyName === '' ? '' : nameRefusal(verifyName, greeting.names)
}

/** Why a certificate for `names` is not for `name`; empty when it is. */
function nameRefusal(name: string, names: readonly string[]): string {
  const family = isIP(name)
  if (family !== 0) {
    const isCovered = names.some(
      (entry) => isIP(entry) === family && plainIp(entry) === plainIp(name),
    )
    const all = names.join(', ')
    return isCovered ? '' : `${name} is not in the certificate, which is for: ${all}`
  }
  const dnsNames = names.filter((entry) => isIP(entry) === 0)
  const subjectaltname = dnsNames.map((entry) => `DNS:${entry}`).join(', ')
  const certificate = { subject: {}, subjectaltname } as PeerCertificate
  const error = checkServerIdentity(name, certificate)
  if (error === undefined) return ''
  // As the real client does: a dash stands for an underscore, which certificates may not hold.
  const [leftmost = '', ...rest] = name.split('.')
  const withDashes = [leftmost.replaceAll('_', '-'), ...rest].join('.')
  const isDashed = rest.length >= 2 && withDashes !== name
  return isDashed && checkServerIdentity(withDashes, certificate) === undefined ? '' : error.message
}

/** One spelling for each address: IPv6 has many. */
function plainIp(ip: string): string {
  return new IpAddress({ address: ip, family: isIP(ip) === 6 ? 'ipv6' : 'ipv4' }).address
}

const CLOSED = 'the peer closed the connection'
const MAX_SESSIONS = 1024
