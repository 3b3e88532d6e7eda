/** `TlsServer`: TLS as a server on sockets that were accepted. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import type { Clock } from '../../time/index.js'
import { canonicalName } from '../certificate-names.js'
import type { Connection } from '../connection.js'
import type { TlsServerOptions } from '../tls-server-options.js'
import { NodeConnection } from './node-connection.js'
import { tlsDigest } from './tls-digest.js'
import { TlsIdentity } from './tls-identity.js'

/** Makes TLS connections of accepted ones. */
export class TlsServer {
  readonly #clock: Clock
  readonly #onUncaught: (error: unknown) => void
  readonly #identities = new WeakMap<TlsServerOptions, TlsIdentity>()

  constructor(clock: Clock, onUncaught: (error: unknown) => void) {
    this.#clock = clock
    this.#onUncaught = onUncaught
  }

  /** What `Network.startServerTls` does. */
  async start(
    plain: NodeConnection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection> {
    const startedMs = this.#clock.nowMs()
    const socket = plain.takeSocket()
    let secured: TLSSocket
    try {
      signal?.throwIfAborted()
      if (prefix !== undefined && prefix.length > 0) socket.unshift(prefix)
      secured = await shakeHands(socket, this.#identity(options), signal)
    } catch (error) {
      socket.destroy()
      throw error === signal?.reason ? error : failure(plain.digest.peerAddress, error)
    }
    const establishedMs = this.#clock.nowMs()
    const { servername } = secured as { servername?: string | false | null }
    const sni = canonicalName(servername || '')
    const tls = tlsDigest(secured, sni, establishedMs - startedMs, secured.authorized)
    const digest = { ...plain.digest, establishedMs, tls }
    return new NodeConnection(secured, { digest, readBuffer: null, onUncaught: this.#onUncaught })
  }

  #identity(options: TlsServerOptions): TlsIdentity {
    let identity = this.#identities.get(options)
    if (identity === undefined) {
      identity = new TlsIdentity(options)
      this.#identities.set(options, identity)
    }
    return identity
  }
}

/** The secured socket. Rejects with the signal's reason, or with what went wrong. */
function shakeHands(
  socket: Socket,
  identity: TlsIdentity,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy()
      reject(signal?.reason as Error)
    }
    // A client that ends before the handshake is done is gone; behind it, it may.
    socket.allowHalfOpen = false
    identity.accept(socket, {
      onSecured: (secured) => {
        signal?.removeEventListener('abort', onAbort)
        if (identity.refuses(secured)) {
          secured.destroy()
          reject(refusal(secured))
          return
        }
        secured.allowHalfOpen = true
        resolve(secured)
      },
      onFailed: (error, secured) => {
        signal?.removeEventListener('abort', onAbort)
        reject(isUnauthorized(secured) ? refusal(secured) : (error as Error))
      },
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Node sets the field for refused certificates only, whatever its type says. */
function isUnauthorized({ authorizationError }: TLSSocket): boolean {
  return Boolean(authorizationError)
}

function refusal({ authorizationError }: TLSSocket): ProxyError {
  return new ProxyError('PGR_CLIENT_CERTIFICATE_INVALID', String(authorizationError))
}

/** The error of a handshake with the client at `address`. */
function failure(address: string, cause: unknown): ProxyError {
  const isOurs = cause instanceof ProxyError
  const { code = '' } = cause as { readonly code?: string }
  const known: ErrorCode =
    code === NO_CERTIFICATE ? 'PGR_CLIENT_CERTIFICATE_INVALID' : 'PGR_CLIENT_TLS_FAILED'
  const text = `TLS ${address}: ${KNOWN_REASONS.get(code) ?? describeThrown(cause)}`
  return new ProxyError(isOurs ? cause.code : known, text, { cause })
}

const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'
/** OpenSSL's own texts are full of numbers and file names. */
const KNOWN_REASONS: ReadonlyMap<string, string> = new Map([
  ['ECONNRESET', 'the client closed the connection'],
  [NO_CERTIFICATE, 'the client showed no certificate'],
  ['ERR_SSL_HTTP_REQUEST', 'the client speaks HTTP in the clear'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'the client does not speak TLS'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'no application protocol in common'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'no cipher in common'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'no version of TLS in common'],
])
