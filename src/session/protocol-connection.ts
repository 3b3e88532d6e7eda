/** `ProtocolConnection`: a client's connection that may speak HTTP/1 or HTTP/2, and says so by its first bytes. */
import type { Connection, ConnectionHandler } from '../transport/index.js'
import type { Deadline } from '../time/index.js'
import { H1ServerConnection } from './h1-server-connection.js'
import { H2ServerConnection } from './h2/h2-server-connection.js'
import type { H2ServerOptions } from './h2/h2-server-options.js'
import type { ServerConnection } from './server-connection.js'

/**
 * Waits until the bytes are the preface of HTTP/2 (RFC 9113 §3.4) or cannot be it any more, and leaves
 * the connection to who speaks what they begin.
 */
export class ProtocolConnection implements ConnectionHandler, ServerConnection {
  readonly #connection: Connection
  readonly #options: H2ServerOptions
  readonly #onClosed: () => void
  readonly #deadline: Deadline
  /** The beginning of the preface, as far as it has come. */
  #kept = 0
  #inner: ServerConnection | null = null
  #drains = false

  /** @param onClosed called once, when the connection is gone. */
  constructor(connection: Connection, options: H2ServerOptions, onClosed: () => void) {
    this.#connection = connection
    this.#options = options
    this.#onClosed = onClosed
    this.#deadline = options.env.deadlines.deadline(() => {
      connection.destroy()
    })
  }

  /** @param prefix bytes that were read already. */
  start(prefix: Buffer | null = null): void {
    this.#connection.handler = this
    this.#deadline.set(this.#options.timeouts.headerMs)
    if (prefix !== null) this.onData(prefix, prefix.length)
    if (this.#inner === null) this.#connection.resume()
  }

  drain(keepsIdle: boolean = false): void {
    if (this.#inner !== null) this.#inner.drain(keepsIdle)
    else if (keepsIdle) this.#drains = true
    else this.destroy()
  }

  destroy(): void {
    if (this.#inner !== null) this.#inner.destroy()
    else this.#connection.destroy()
  }

  onData(buffer: Buffer, length: number): void {
    let seen = this.#kept
    let at = 0
    while (at < length && seen < PREFACE.length && buffer[at] === PREFACE[seen]) {
      at++
      seen++
    }
    if (seen < PREFACE.length && at === length) {
      this.#kept = seen
      return
    }
    this.#deadline.dispose()
    const isHttp2 = seen === PREFACE.length
    // Of what came before, all is known: it was the beginning of the preface.
    const before = PREFACE.subarray(0, this.#kept)
    const bytes = buffer.subarray(0, length)
    const all = this.#kept === 0 ? bytes : Buffer.concat([before, bytes])
    if (isHttp2) this.#startHttp2(all)
    else this.#startHttp1(all)
    if (this.#drains) this.#inner?.drain(true)
  }

  onEnd(): void {
    this.#connection.destroy()
  }

  onDrain(): void {
    // Nothing was written.
  }

  onClose(): void {
    this.#deadline.dispose()
    this.#onClosed()
  }

  #startHttp2(bytes: Buffer): void {
    const http2 = new H2ServerConnection(this.#connection, this.#options, this.#onClosed)
    this.#inner = http2
    http2.start(bytes)
  }

  #startHttp1(bytes: Buffer): void {
    const http1 = new H1ServerConnection(this.#connection, this.#options, this.#onClosed)
    this.#inner = http1
    http1.start()
    http1.onData(bytes, bytes.length)
  }
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
