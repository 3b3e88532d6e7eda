/** `ConnectionDuplex`: a connection as a stream of Node, for the protocols that Node itself speaks. */
import { Duplex } from 'node:stream'
import type { Connection, ConnectionHandler } from './connection.js'

/**
 * Stands on a connection that has no descriptor to give, or whose descriptor is in use. It becomes
 * the connection's handler; the one before it only hears of the close, after the stream has.
 */
export class ConnectionDuplex extends Duplex implements ConnectionHandler {
  readonly #connection: Connection
  readonly #owner: ConnectionHandler
  /** Waits for the connection to take what was written. */
  #onWritten: (() => void) | null = null
  /** Waits for the connection to be gone. */
  #onGone: (() => void) | null = null
  #isGone = false

  /** @param prefix bytes that were read before, to be delivered first; copied. */
  constructor(connection: Connection, prefix?: Uint8Array) {
    super({ allowHalfOpen: false, decodeStrings: true })
    this.#connection = connection
    this.#owner = connection.handler
    // What goes wrong is told by the close: without a listener it would end the process.
    this.on('error', ignore)
    connection.handler = this
    if (prefix !== undefined && prefix.length > 0) this.push(Buffer.from(prefix))
    if (connection.destroyed) this.destroy()
  }

  /** Bytes received so far, as sockets of Node count them. */
  get bytesRead(): number {
    return this.#connection.bytesRead
  }

  override _read(): void {
    this.#connection.resume()
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    if (this.#connection.write(chunk)) callback()
    else this.#onWritten = callback
  }

  override _writev(chunks: { readonly chunk: Buffer }[], callback: () => void): void {
    this.#connection.cork()
    for (const { chunk } of chunks) this.#connection.write(chunk)
    if (this.#connection.uncork()) callback()
    else this.#onWritten = callback
  }

  override _final(callback: () => void): void {
    this.#connection.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#isGone || this.#connection.destroyed) {
      callback(error)
      // A connection whose end nobody was told yet tells whoever reads.
      this.#connection.resume()
      return
    }
    this.#onGone = () => {
      callback(error)
    }
    this.#connection.destroy()
    this.#connection.resume()
  }

  onData(buffer: Buffer, length: number): void {
    if (!this.push(Buffer.from(buffer.subarray(0, length)))) this.#connection.pause()
  }

  onEnd(): void {
    this.push(null)
  }

  onDrain(): void {
    const callback = this.#onWritten
    this.#onWritten = null
    callback?.()
  }

  onClose(error: Error | null): void {
    this.#isGone = true
    const callback = this.#onGone
    if (callback !== null) callback()
    else this.destroy(error ?? undefined)
    this.#owner.onClose(error)
  }
}

function ignore(): void {
  // The owner hears of it by `onClose`.
}
