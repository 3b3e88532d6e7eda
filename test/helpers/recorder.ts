/** A connection handler that keeps what it is told, and can be waited on. */
import type { Connection, ConnectionHandler } from '../../src/transport/index.js'

/** Sets itself as the handler of a connection and records. */
export class Recorder implements ConnectionHandler {
  readonly connection: Connection
  /** What came, as latin1 text. */
  text = ''
  /** Bytes that came. */
  bytes = 0
  ended = false
  drains = 0
  /** Calls of `onClose`; must never be more than one. */
  closes = 0
  error: Error | null = null
  /** Called with each chunk, borrowed as it is. Default: nothing. */
  onChunk: ((buffer: Buffer, length: number) => void) | null = null
  /** Whether `text` is kept. */
  readonly #keepsText: boolean
  readonly #waiting = new Set<() => void>()

  /** Starts to read unless told otherwise. */
  constructor(
    connection: Connection,
    options: { readonly resume?: boolean; readonly keepsText?: boolean } = {},
  ) {
    this.connection = connection
    this.#keepsText = options.keepsText ?? true
    connection.handler = this
    if (options.resume ?? true) connection.resume()
  }

  onData(buffer: Buffer, length: number): void {
    this.bytes += length
    if (this.#keepsText) this.text += buffer.toString('latin1', 0, length)
    this.onChunk?.(buffer, length)
    this.#wake()
  }

  onEnd(): void {
    this.ended = true
    this.#wake()
  }

  onDrain(): void {
    this.drains++
    this.#wake()
  }

  onClose(error: Error | null): void {
    this.closes++
    this.error = error
    this.#wake()
  }

  /** The system's code of `error`, such as `ECONNRESET`; empty when there is none. */
  get errorCode(): string {
    return this.error !== null && 'code' in this.error ? String(this.error.code) : ''
  }

  /** Resolves when `condition` holds; looked at after every call. */
  async until(condition: (recorder: this) => boolean): Promise<this> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve)
      })
    }
    return this
  }

  /** Resolves when the connection is closed. */
  closed(): Promise<this> {
    return this.until(() => this.closes > 0)
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}
