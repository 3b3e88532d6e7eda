/** `TlsServerConnection`: a client's connection whose TLS handshake comes before what is spoken on it. */
import type { ServerConnection } from '../session/index.js'
import type { Connection, TlsAcceptor } from '../transport/index.js'

/** Serves a connection by the protocol that was agreed on. `onClosed` is called once, at its end. */
export type Serve = (connection: Connection, onClosed: () => void) => ServerConnection

/** Shakes hands, then leaves everything to the protocol. */
export class TlsServerConnection implements ServerConnection {
  readonly #connection: Connection
  readonly #tls: TlsAcceptor
  readonly #serve: Serve
  readonly #onClosed: () => void
  readonly #handshake = new AbortController()
  #inner: ServerConnection | null = null
  /** An idle client is kept until its next answer, also one that is still shaking hands. */
  #drainsLater = false

  constructor(connection: Connection, tls: TlsAcceptor, serve: Serve, onClosed: () => void) {
    this.#connection = connection
    this.#tls = tls
    this.#serve = serve
    this.#onClosed = onClosed
  }

  start(prefix: Buffer | null = null): void {
    void this.#tls
      .secure(this.#connection, this.#handshake.signal, prefix ?? undefined)
      .then((secured) => {
        this.#secured(secured)
      })
  }

  drain(keepsIdle: boolean = false): void {
    if (this.#inner !== null) this.#inner.drain(keepsIdle)
    else if (keepsIdle) this.#drainsLater = true
    else this.destroy()
  }

  destroy(): void {
    if (this.#inner !== null) this.#inner.destroy()
    else this.#handshake.abort()
  }

  #secured(secured: Connection | null): void {
    if (secured === null) {
      this.#onClosed()
      return
    }
    const inner = this.#serve(secured, this.#onClosed)
    this.#inner = inner
    inner.start()
    if (this.#handshake.signal.aborted) inner.destroy()
    else if (this.#drainsLater) inner.drain(true)
  }
}
