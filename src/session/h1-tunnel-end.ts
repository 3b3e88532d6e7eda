/** A connection on which HTTP/1 is over: what comes and goes on it are the bytes of a tunnel. */
import type { ProxyError } from '../error/index.js'
import type { Connection, ConnectionHandler } from '../transport/index.js'
import type { TunnelEnd, TunnelHandler } from './tunnel-end.js'

/** What the HTTP/1 side of the connection leaves behind. */
export interface H1TunnelEndParts {
  /** Taken over: from now on its handler is the tunnel's end. */
  readonly connection: Connection
  /** Bytes that came early. */
  readonly kept: Buffer | null
  /** Whether the peer's FIN, or its end, has come behind them, which nobody was told of. */
  readonly ended: boolean
  /** The failure that stands for a peer that is gone. */
  readonly goneError: (cause: Error | null) => ProxyError
  /** Called once, when the connection is gone. */
  readonly onClosed: () => void
}

/** One end of a tunnel, on a connection of its own. */
export class H1TunnelEnd implements TunnelEnd, ConnectionHandler {
  handler: TunnelHandler | null = null
  /** Bytes told so far. */
  bytesRead = 0
  /** Bytes written so far. */
  bytesWritten = 0
  readonly #connection: Connection
  readonly #goneError: (cause: Error | null) => ProxyError
  readonly #onClosed: () => void
  /** Bytes that nobody wanted when they came: at most what one read brings, and what was left to us. */
  #kept: Buffer | null
  #paused = true
  /** The peer's FIN has come; and it was told. */
  #ended: boolean
  #endTold = false
  #ourEnd = false

  constructor({ connection, kept, ended, goneError, onClosed }: H1TunnelEndParts) {
    this.#connection = connection
    this.#kept = kept
    this.#ended = ended
    this.#goneError = goneError
    this.#onClosed = onClosed
    connection.handler = this
  }

  write(buffer: Buffer, from: number, to: number): boolean {
    this.bytesWritten += to - from
    return this.#connection.write(buffer.subarray(from, to))
  }

  end(): boolean {
    this.#ourEnd = true
    this.#connection.end()
    return this.#connection.pendingBytes === 0
  }

  pause(): void {
    this.#paused = true
    this.#connection.pause()
  }

  resume(): void {
    this.#paused = false
    const kept = this.#kept
    if (kept !== null) {
      this.#kept = null
      this.#tell(kept, 0, kept.length)
    }
    if (this.#isPaused()) return
    if (this.#ended) this.#tellEnd()
    else this.#connection.resume()
  }

  retain(): void {
    this.#connection.retain()
  }

  /**
   * Closes the connection: orderly when both directions have ended and the kernel has all of ours, else
   * so that the peer sees the break.
   */
  close(): void {
    const isWhole = this.#endTold && this.#ourEnd && this.#connection.pendingBytes === 0
    if (isWhole) this.#connection.destroy()
    else this.#connection.reset()
  }

  /** Bytes of a read that HTTP/1 had begun to take. */
  receive(buffer: Buffer, from: number, to: number): void {
    if (this.#paused || this.#kept !== null) this.#keep(buffer, from, to)
    else this.#tell(buffer, from, to)
  }

  // ConnectionHandler

  onData(buffer: Buffer, length: number): void {
    this.receive(buffer, 0, length)
  }

  onEnd(): void {
    this.#ended = true
    if (!this.#paused && this.#kept === null) this.#tellEnd()
  }

  onDrain(): void {
    this.handler?.onDrain()
  }

  onClose(error: Error | null): void {
    // All that was written is with the kernel then, whether a drain said so or not.
    if (error === null && this.#endTold && this.#ourEnd) this.handler?.onDrain()
    else this.#fail(error)
    this.#onClosed()
  }

  #tell(buffer: Buffer, from: number, to: number): void {
    this.bytesRead += to - from
    this.handler?.onData(buffer, from, to)
  }

  #tellEnd(): void {
    if (this.#endTold) return
    this.#endTold = true
    // A peer that went away before the tunnel began has ended more than its own direction.
    if (this.#connection.destroyed) this.#fail(null)
    else this.handler?.onEnd()
  }

  #fail(cause: Error | null): void {
    const { handler } = this
    this.handler = null
    handler?.onError(this.#goneError(cause))
  }

  #keep(buffer: Buffer, from: number, to: number): void {
    const bytes = buffer.subarray(from, to)
    this.#kept = this.#kept === null ? Buffer.from(bytes) : Buffer.concat([this.#kept, bytes])
  }

  /** A handler may pause during a call, which the compiler cannot see. */
  #isPaused(): boolean {
    return this.#paused
  }
}
