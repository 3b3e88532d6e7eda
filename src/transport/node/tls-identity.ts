/** `TlsIdentity`: who a listener is in TLS handshakes: its certificates, as OpenSSL has them. */
import { constants, createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { EventEmitter } from 'node:events'
import { createSecureContext, createServer } from 'node:tls'
import type { SecureContext, SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { LruMap } from '../../collections/index.js'
import { ProxyError, describeThrown } from '../../error/index.js'
import { NameTable, canonicalName, leafOf, namesOf } from '../certificate-names.js'
import { INTERMEDIATE_CIPHERS } from '../tls-server-options.js'
import type { TlsCertificate, TlsServerOptions } from '../tls-server-options.js'
import { joinedPem, pemList } from './pem.js'

/** What becomes of one handshake; exactly one of the calls comes. */
export interface HandshakeEvents {
  readonly onSecured: (secured: TLSSocket) => void
  /** The socket is closed, or about to be. */
  readonly onFailed: (error: unknown, secured: TLSSocket) => void
}

/** Made once per {@link TlsServerOptions}; each certificate costs about a millisecond. */
export class TlsIdentity {
  readonly #options: TlsServerOptions
  /** Never listens. */
  readonly #server: Server
  readonly #byName = new NameTable<SecureContext>()
  readonly #fetched = new WeakMap<TlsCertificate, SecureContext>()
  /** OCSP responses by the leaf that they are about. */
  readonly #ocspResponses: LruMap<string, Buffer>
  #ticketKeys: Buffer | null = null

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` for certificates, keys or ciphers that are none. */
  constructor(options: TlsServerOptions) {
    const { certificates, certificateFor, clientCertificates, alpn, onKeyLog } = options
    const [first, ...others] = certificates
    if (first === undefined && certificateFor === undefined)
      throw new ProxyError('PGR_OPTION_INVALID', 'TLS: expected at least one certificate')
    this.#options = options
    this.#ocspResponses = new LruMap(certificates.length + MAX_FETCHED_RESPONSES)
    this.#server = checked(() =>
      createServer({
        ...this.#contextOptions(first),
        // None: the time-out is the caller's.
        handshakeTimeout: -1,
        requestCert: clientCertificates !== undefined,
        rejectUnauthorized: clientCertificates?.required ?? true,
        ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
        ...((others.length > 0 || certificateFor) && { SNICallback: this.#choose }),
      }),
    )
    if (others.length > 0) for (const each of certificates) this.#addByName(each)
    if (certificateFor || certificates.some(({ ocspResponse }) => ocspResponse))
      this.#server.on('OCSPRequest', this.#staple)
    if (onKeyLog) this.#server.on('keylog', onKeyLog)
  }

  /** Begins a handshake on `socket`. */
  accept(socket: Socket, { onSecured, onFailed }: HandshakeEvents): void {
    this.#renewTicketKeys()
    const server = this.#server
    // A server of its own for each socket would have to be made of the certificates again; a view of
    // the one server tells what becomes of this socket.
    const view = Object.create(server) as Server
    const { prototype } = EventEmitter
    view.emit = (event: string, ...parts: unknown[]): boolean => {
      if (event === 'secureConnection') onSecured(parts[0] as TLSSocket)
      else if (event === 'tlsClientError') onFailed(parts[0], parts[1] as TLSSocket)
      else return prototype.emit.call(server, event, ...parts)
      return true
    }
    prototype.emit.call(view, 'connection', socket)
  }

  /** Whether the certificate that the client has shown is not good, though it needs none. */
  refuses(secured: TLSSocket): boolean {
    const isOptional = this.#options.clientCertificates?.required === false
    return isOptional && !secured.authorized && secured.getPeerX509Certificate() !== undefined
  }

  readonly #choose = (
    sni: string,
    done: (error: Error | null, context?: SecureContext) => void,
  ): void => {
    const name = canonicalName(sni)
    const choose = (certificate: TlsCertificate | undefined): void => {
      done(null, certificate ? this.#contextOf(certificate) : this.#byName.find(name))
    }
    const fail = (thrown: unknown): void => {
      const text = `certificateFor ${JSON.stringify(name)}: ${describeThrown(thrown)}`
      done(new ProxyError('PGR_HOOK_FAILED', text, { cause: thrown }))
    }
    try {
      const chosen = this.#options.certificateFor?.(name)
      if (chosen instanceof Promise) chosen.then(choose).catch(fail)
      else choose(chosen)
    } catch (thrown) {
      fail(thrown)
    }
  }

  #contextOf(certificate: TlsCertificate): SecureContext {
    let context = this.#fetched.get(certificate)
    if (context === undefined) {
      context = checked(() => createSecureContext(this.#contextOptions(certificate)))
      this.#fetched.set(certificate, context)
    }
    return context
  }

  #addByName(certificate: TlsCertificate): void {
    const names = namesOf(leafOf(certificate.cert))
    this.#byName.add(names, this.#contextOf(certificate))
  }

  #contextOptions(certificate: TlsCertificate | undefined): SecureContextOptions {
    const { minVersion = 'TLSv1.2', ciphers = INTERMEDIATE_CIPHERS } = this.#options
    const { clientCertificates } = this.#options
    return {
      ...(certificate && this.#shown(certificate)),
      minVersion,
      ciphers,
      honorCipherOrder: false,
      dhparam: 'auto',
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      sessionTimeout: TICKET_LIFETIME_S,
      sessionIdContext: this.#sessionIdContext(),
      ...(clientCertificates && { ca: pemList(clientCertificates.ca) }),
    }
  }

  #shown({ cert, key, ocspResponse }: TlsCertificate): SecureContextOptions {
    if (ocspResponse) this.#ocspResponses.set(idOf(leafOf(cert).raw), Buffer.from(ocspResponse))
    return { cert: joinedPem(cert), key: joinedPem(key) }
  }

  /**
   * All listeners may have the same ticket keys; a session must not be resumed where other clients
   * are trusted than where it began.
   */
  #sessionIdContext(): string {
    const { clientCertificates } = this.#options
    const { required = true, ca = '' } = clientCertificates ?? { required: false }
    const trust = `${required}\n${joinedPem(ca).toString()}`
    return createHash('sha256').update(trust).digest('hex').slice(0, MAX_ID_CONTEXT)
  }

  #renewTicketKeys(): void {
    const keys = this.#options.ticketKeys?.current()
    if (keys === undefined || keys === this.#ticketKeys) return
    this.#ticketKeys = keys
    this.#server.setTicketKeys(keys)
  }

  readonly #staple = (
    certificate: Buffer,
    _issuer: Buffer,
    done: (error: Error | null, response: Buffer | null) => void,
  ): void => {
    done(null, this.#ocspResponses.get(idOf(certificate)) ?? null)
  }
}

/**
 * Checks a list of cipher suites.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` unless OpenSSL knows at least one of them.
 */
export function checkCiphers(ciphers: string): void {
  checked(() => createSecureContext({ ciphers }))
}

function checked<T>(make: () => T): T {
  try {
    return make()
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause
    throw new ProxyError('PGR_OPTION_INVALID', `TLS: ${describeThrown(cause)}`, { cause })
  }
}

function idOf(der: Buffer): string {
  return createHash('sha256').update(der).digest('base64')
}

/** Longest time in which a client may resume a session, in seconds. */
const TICKET_LIFETIME_S = 3_600
/** What OpenSSL has room for, in bytes. */
const MAX_ID_CONTEXT = 32
/** Of certificates that `certificateFor` gives. */
const MAX_FETCHED_RESPONSES = 1_024
