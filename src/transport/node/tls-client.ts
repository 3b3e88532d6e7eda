/** `TlsClient`: TLS as a client on a socket that is connected, with verification and resumption. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect, createSecureContext } from 'node:tls'
import type { PeerCertificate, SecureContext, TLSSocket } from 'node:tls'
import { LruMap } from '../../collections/index.js'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { Clock } from '../../time/index.js'
import type { Connection } from '../connection.js'
import type { ConnectionDigest } from '../digest.js'
import type { Pem, TlsClientOptions } from '../tls-client-options.js'
import { NodeConnection } from './node-connection.js'
import { joinedPem, pemList } from './pem.js'
import { tlsDigest } from './tls-digest.js'

/** Makes TLS connections; keeps parsed certificates and sessions, both within fixed numbers. */
export class TlsClient {
  readonly #clock: Clock
  readonly #onUncaught: (error: unknown) => void
  readonly #pemIds = new LruMap<Pem, number>(MAX_PEMS)
  readonly #contexts = new LruMap<string, SecureContext>(MAX_CONTEXTS)
  readonly #sessions = new LruMap<string, Buffer>(MAX_SESSIONS)
  #lastPemId = 0

  constructor(clock: Clock, onUncaught: (error: unknown) => void) {
    this.#clock = clock
    this.#onUncaught = onUncaught
  }

  /** What `Network.startTls` does. */
  start(
    plain: NodeConnection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const startedMs = this.#clock.nowMs()
    const socket = plain.takeSocket()
    return new Promise<Connection>((resolve, reject) => {
      const handshake = new Handshake(socket, plain.digest.peerAddress, signal, reject)
      try {
        signal?.throwIfAborted()
        const contextKey = this.#contextKey(options)
        const secureContext = this.#context(contextKey, options)
        const sessionKey = sessionKeyOf(contextKey, options)
        const session = sessionKey === '' ? undefined : this.#sessions.get(sessionKey)
        const secured = openTls(socket, options, secureContext, session)
        this.#keepSessions(secured, sessionKey)
        if (options.onKeyLog) secured.on('keylog', options.onKeyLog)
        handshake.watch(secured, () => {
          resolve(this.#wrap(secured, plain.digest, options, startedMs))
        })
      } catch (error) {
        handshake.fail(error)
      }
    })
  }

  #wrap(
    secured: TLSSocket,
    plain: ConnectionDigest,
    options: TlsClientOptions,
    startedMs: number,
  ): Connection {
    const establishedMs = this.#clock.nowMs()
    const isVerified = options.verifyChain
    const tls = tlsDigest(secured, options.sni, establishedMs - startedMs, isVerified)
    const digest: ConnectionDigest = { ...plain, establishedMs, tls }
    const parts = { digest, readBuffer: null, onUncaught: this.#onUncaught }
    return new NodeConnection(secured, parts)
  }

  /**
   * Keeps a session only once its peer was verified: a resumed session is not verified again, so
   * one of a refused peer would let that peer in at the second try.
   */
  #keepSessions(secured: TLSSocket, sessionKey: string): void {
    if (sessionKey === '') return
    let verified = false
    let early: Buffer | null = null
    secured.on('session', (session: Buffer) => {
      if (verified) this.#sessions.set(sessionKey, session)
      else early = session
    })
    secured.once('secureConnect', () => {
      verified = true
      if (early) this.#sessions.set(sessionKey, early)
    })
    // A session that the peer takes amiss must not spoil every later handshake.
    secured.once('error', () => {
      if (!verified) this.#sessions.delete(sessionKey)
    })
  }

  /** Parsing a bundle of CAs takes milliseconds, so contexts are shared by equal options. */
  #context(key: string, options: TlsClientOptions): SecureContext {
    let context = this.#contexts.get(key)
    if (!context) {
      const { ca, cert, key: privateKey } = options
      context = createSecureContext({
        minVersion: 'TLSv1.2',
        ...(ca !== undefined && { ca: pemList(ca) }),
        ...(cert !== undefined && { cert: joinedPem(cert) }),
        ...(privateKey !== undefined && { key: joinedPem(privateKey) }),
      })
      this.#contexts.set(key, context)
    }
    return context
  }

  #contextKey(options: TlsClientOptions): string {
    return `${this.#pemId(options.ca)}|${this.#pemId(options.cert)}|${this.#pemId(options.key)}`
  }

  /** Text is the same when it is equal, bytes and lists when they are the same object. */
  #pemId(pem: Pem | undefined): number {
    if (pem === undefined) return 0
    let id = this.#pemIds.get(pem)
    if (id === undefined) {
      id = ++this.#lastPemId
      this.#pemIds.set(pem, id)
    }
    return id
  }
}

/** One handshake: ends once, in a secured socket or in an error with everything closed. */
class Handshake {
  readonly #socket: Socket
  readonly #peerAddress: string
  readonly #signal: AbortSignal | undefined
  readonly #reject: (error: unknown) => void
  readonly #onAbort = (): void => {
    this.fail(this.#signal?.reason)
  }
  #secured: TLSSocket | null = null
  #done = false

  constructor(
    socket: Socket,
    peerAddress: string,
    signal: AbortSignal | undefined,
    reject: (error: unknown) => void,
  ) {
    this.#socket = socket
    this.#peerAddress = peerAddress
    this.#signal = signal
    this.#reject = reject
  }

  watch(secured: TLSSocket, onSecured: () => void): void {
    this.#secured = secured
    secured.on('error', (error) => {
      this.fail(this.#explain(secured, error))
    })
    secured.once('close', () => {
      this.fail(this.#explain(secured, undefined))
    })
    secured.once('secureConnect', () => {
      this.#done = true
      this.#signal?.removeEventListener('abort', this.#onAbort)
      onSecured()
    })
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Ends the handshake; does nothing after its end. */
  fail(error: unknown): void {
    if (this.#done) return
    this.#done = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#secured?.destroy()
    this.#socket.destroy()
    const isOurs = error instanceof ProxyError || error === this.#signal?.reason
    this.#reject(isOurs ? error : this.#explain(null, error))
  }

  #explain(secured: TLSSocket | null, cause: unknown): ProxyError {
    const what = cause === undefined ? 'the peer closed the connection' : describeThrown(cause)
    // Node sets the first field for refused certificates only, whatever its type says.
    const refused = Boolean(secured?.authorizationError)
    const code = refused ? 'PGR_CERTIFICATE_INVALID' : 'PGR_TLS_HANDSHAKE_FAILED'
    return new ProxyError(code, `TLS ${this.#peerAddress}: ${what}`, { cause })
  }
}

function openTls(
  socket: Socket,
  options: TlsClientOptions,
  secureContext: SecureContext,
  session: Buffer | undefined,
): TLSSocket {
  return connect({
    socket,
    secureContext,
    // RFC 6066 §3: an IP address is not a name to ask for.
    servername: isIP(options.sni) === 0 ? options.sni : '',
    rejectUnauthorized: options.verifyChain,
    checkServerIdentity: (_host, certificate) => checkName(options.verifyName, certificate),
    ...(options.alpn.length > 0 && { ALPNProtocols: [...options.alpn] }),
    ...(session && { session }),
  })
}

/** Whether `certificate` is for `name`; an empty name fits all. */
function checkName(name: string, certificate: PeerCertificate): Error | undefined {
  if (name === '') return undefined
  if (isIP(name) !== 0) return checkIp(name, certificate)
  const error = checkServerIdentity(name, certificate)
  if (!error || !name.includes('_')) return error
  // Certificates may not hold underscores, host names in use do: as Pingora, a dash stands for one.
  const [leftmost = '', ...rest] = name.split('.')
  if (rest.length < 2 || !leftmost.includes('_')) return error
  return checkServerIdentity([leftmost.replaceAll('_', '-'), ...rest].join('.'), certificate)
}

/** Not by Node's own check: Node 22 takes two spellings of one IPv6 address for two addresses. */
function checkIp(ip: string, certificate: PeerCertificate): Error | undefined {
  if (new X509Certificate(certificate.raw).checkIP(ip) !== undefined) return undefined
  const { subjectaltname = 'none' } = certificate
  return new Error(`${ip} is not in the certificate, which is for: ${subjectaltname}`)
}

/** Everything that decided about trust is in the key, besides what the caller put there. */
function sessionKeyOf(contextKey: string, options: TlsClientOptions): string {
  const { sessionKey, sni, verifyName, verifyChain } = options
  return sessionKey === '' ? '' : [contextKey, verifyChain, verifyName, sni, sessionKey].join('\n')
}

const MAX_PEMS = 256
const MAX_CONTEXTS = 64
const MAX_SESSIONS = 1024
