/** `MemoryTlsServer`: the listening end of modelled handshakes, as `Network.startServerTls` begins them. */
import { X509Certificate } from 'node:crypto'
import { ProxyError, describeThrown } from '../../error/index.js'
import type { ErrorCode } from '../../error/index.js'
import { NameTable, canonicalName, leafOf, namesOf } from '../certificate-names.js'
import type { TlsDigest } from '../digest.js'
import type { Pem, TlsClientOptions } from '../tls-client-options.js'
import type { TlsCertificate, TlsServerOptions } from '../tls-server-options.js'
import type { MemoryConnection } from './memory-connection.js'
import { agreedProtocol, sniOf } from './memory-tls-hello.js'
import type { Answer, Greeting, HandshakeEnd } from './memory-tls-hello.js'
import type { MemoryWire } from './memory-wire.js'

/** Knows the handshakes that have begun at either end. */
export class MemoryTlsServer {
  readonly #handshakes = new WeakMap<MemoryWire, ServerHandshake>()

  /** A client's hello has arrived; it is answered once the listening end starts TLS too. */
  hello(wire: MemoryWire, options: TlsClientOptions, answer: (answer: Answer) => void): void {
    this.#of(wire).hello(options, answer)
  }

  /** The client's last part of the handshake has arrived. */
  finished(wire: MemoryWire): void {
    this.#of(wire).finished()
  }

  /** What `Network.startServerTls` does; `plain` is detached by then. */
  start(
    plain: MemoryConnection,
    options: TlsServerOptions,
    signal: AbortSignal | undefined,
    end: HandshakeEnd,
  ): void {
    this.#of(plain.wire).start({ plain, options, signal, end })
  }

  #of(wire: MemoryWire): ServerHandshake {
    let handshake = this.#handshakes.get(wire)
    if (handshake === undefined) {
      handshake = new ServerHandshake()
      this.#handshakes.set(wire, handshake)
    }
    return handshake
  }
}

interface ServerParts {
  readonly plain: MemoryConnection
  readonly options: TlsServerOptions
  readonly signal: AbortSignal | undefined
  readonly end: HandshakeEnd
}

interface Hello {
  readonly options: TlsClientOptions
  readonly answer: (answer: Answer) => void
}

/** One handshake: both ends may begin it. It ends once. */
class ServerHandshake {
  #parts: ServerParts | null = null
  #hello: Hello | null = null
  #startedMs = 0
  #greeting: Greeting | null = null
  #done = false

  hello(options: TlsClientOptions, answer: (answer: Answer) => void): void {
    this.#hello = { options, answer }
    if (this.#parts !== null) this.#answer(this.#parts, this.#hello)
  }

  start(parts: ServerParts): void {
    const { plain, signal } = parts
    const { toListener, route } = plain.wire
    this.#parts = parts
    this.#startedMs = route.world.clock.nowMs()
    if (signal?.aborted === true) {
      this.#fail(signal.reason as Error)
      return
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    toListener.onArrival = this.#onArrival
    this.#onArrival()
    if (!this.#done && this.#hello !== null) this.#answer(parts, this.#hello)
  }

  finished(): void {
    if (this.#done || this.#parts === null || this.#greeting === null) return
    const { plain, end } = this.#parts
    const { clock } = plain.wire.route.world
    this.#settle()
    const establishedMs = clock.nowMs()
    end(null, { ...plain.digest, establishedMs, tls: this.#digest(establishedMs, this.#greeting) })
  }

  #digest(nowMs: number, { alpn }: Greeting): TlsDigest {
    const client = this.#hello!.options
    const isAsked = this.#parts!.options.clientCertificates !== undefined
    const peerCertificate = isAsked && client.cert !== undefined ? leafOf(client.cert) : null
    return {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      sni: canonicalName(sniOf(client)),
      alpn,
      resumed: false,
      handshakeMs: nowMs - this.#startedMs,
      peerCertificate,
      peerVerified: peerCertificate !== null,
    }
  }

  readonly #onArrival = (): void => {
    const { toListener } = this.#parts!.plain.wire
    if (toListener.readable > 0 && this.#greeting === null)
      this.#failWith('PGR_CLIENT_TLS_FAILED', 'the client does not speak TLS')
    else if (toListener.finArrived || toListener.resetArrived)
      this.#failWith('PGR_CLIENT_TLS_FAILED', 'the client closed the connection')
  }

  #answer(parts: ServerParts, hello: Hello): void {
    chooseCertificate(parts.options, canonicalName(sniOf(hello.options))).then(
      (certificate) => {
        if (!this.#done) this.#greet(parts.options, hello, certificate)
      },
      (thrown: unknown) => {
        this.#refuse(hello, 'PGR_HOOK_FAILED', `certificateFor: ${describeThrown(thrown)}`)
      },
    )
  }

  #greet(options: TlsServerOptions, hello: Hello, certificate: TlsCertificate): void {
    const { alpn } = options
    const protocol = agreedProtocol(alpn, hello.options.alpn)
    const refusal = clientRefusal(options, hello.options)
    if (protocol === undefined) {
      this.#refuse(hello, 'PGR_CLIENT_TLS_FAILED', 'no application protocol in common')
    } else if (refusal !== '') {
      this.#refuse(hello, 'PGR_CLIENT_CERTIFICATE_INVALID', refusal)
    } else {
      const leaf = leafOf(certificate.cert)
      const { ca } = hello.options
      const isTrusted = ca === undefined || isIssuedBy(leaf, ca)
      this.#greeting = {
        alpn: protocol,
        names: namesOf(leaf),
        isTrusted,
        certificate: leaf,
        identity: options,
      }
      hello.answer(this.#greeting)
    }
  }

  #refuse(hello: Hello, code: ErrorCode, reason: string): void {
    hello.answer(reason)
    this.#failWith(code, reason)
  }

  #failWith(code: ErrorCode, reason: string): void {
    const { peerAddress } = this.#parts!.plain.digest
    this.#fail(new ProxyError(code, `TLS ${peerAddress}: ${reason}`))
  }

  #fail(error: Error): void {
    if (this.#done) return
    const { plain, end } = this.#parts!
    this.#settle()
    plain.wire.abandon('listener')
    end(error, plain.digest)
  }

  #settle(): void {
    const { plain, signal } = this.#parts!
    this.#done = true
    signal?.removeEventListener('abort', this.#onAbort)
    plain.wire.toListener.onArrival = null
  }

  readonly #onAbort = (): void => {
    this.#fail(this.#parts?.signal?.reason as Error)
  }
}

async function chooseCertificate(
  { certificates, certificateFor }: TlsServerOptions,
  name: string,
): Promise<TlsCertificate> {
  const chosen = name === '' ? undefined : await certificateFor?.(name)
  if (chosen !== undefined) return chosen
  const byName = new NameTable<TlsCertificate>()
  for (const each of certificates) byName.add(namesOf(leafOf(each.cert)), each)
  const found = byName.find(name) ?? certificates[0]
  if (found !== undefined) return found
  throw new ProxyError('PGR_OPTION_INVALID', 'TLS: expected at least one certificate')
}

/** Why a client is refused; empty when it is not. */
function clientRefusal({ clientCertificates }: TlsServerOptions, client: TlsClientOptions): string {
  if (clientCertificates === undefined) return ''
  const { ca, required = true } = clientCertificates
  if (client.cert === undefined) return required ? 'the client showed no certificate' : ''
  return isIssuedBy(leafOf(client.cert), ca) ? '' : 'unable to verify the first certificate'
}

function isIssuedBy(leaf: X509Certificate, cas: Pem): boolean {
  const blocks = String(cas).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  return (blocks ?? []).some((block) => {
    const ca = new X509Certificate(block)
    return leaf.checkIssued(ca) && leaf.verify(ca.publicKey)
  })
}
