/** A connection without a socket, whose other end is the test. */
import { ConnectionDuplex } from '../../src/transport/connection-duplex.js'
import type {
  Connection,
  ConnectionDigest,
  ConnectionHandler,
  CountingDuplex,
} from '../../src/transport/index.js'

/** Keeps what is written; bytes are pending while the test says so. */
export class RecordingConnection implements Connection {
  handler: ConnectionHandler = DEAF
  pendingBytes = 0
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  ownerEntry: object | null = null
  protocolState: object | null = null
  /** Each write, as latin1 text; what was corked counts as one. */
  readonly writes: string[] = []
  reading = false
  ended = false
  wasReset = false
  retains = 0
  digest: ConnectionDigest = {
    peerAddress: '10.0.0.1:80',
    localAddress: '10.0.0.2:5000',
    peerIp: '10.0.0.1',
    establishedMs: 0,
    tls: null,
  }
  #corked: string[] | null = null

  /** All that was written. */
  get text(): string {
    return this.writes.join('')
  }

  write(data: string | Uint8Array): boolean {
    const text = typeof data === 'string' ? data : Buffer.from(data).toString('latin1')
    this.bytesWritten += text.length
    if (this.#corked) this.#corked.push(text)
    else this.writes.push(text)
    return this.pendingBytes === 0
  }

  cork(): void {
    this.#corked ??= []
  }

  uncork(): boolean {
    if (this.#corked !== null && this.#corked.length > 0) this.writes.push(this.#corked.join(''))
    this.#corked = null
    return this.pendingBytes === 0
  }

  retain(): void {
    this.retains++
  }

  pause(): void {
    this.reading = false
  }

  resume(): void {
    this.reading = true
  }

  end(): void {
    this.ended = true
  }

  destroy(): void {
    this.destroyed = true
  }

  reset(): void {
    this.destroyed = true
    this.wasReset = true
  }

  takeDuplex(prefix?: Uint8Array): CountingDuplex {
    return new ConnectionDuplex(this, prefix)
  }

  /** What the peer sends arrives. */
  receive(text: string): void {
    const bytes = Buffer.from(text, 'latin1')
    this.bytesRead += bytes.length
    this.handler.onData(bytes, bytes.length)
    // Borrowed memory is used again.
    bytes.fill('#')
  }

  /** The peer takes what was pending. */
  drain(): void {
    this.pendingBytes = 0
    this.handler.onDrain()
  }

  /** The connection is gone. */
  close(error: Error | null = null): void {
    this.destroyed = true
    this.handler.onClose(error)
  }
}

const DEAF: ConnectionHandler = {
  onData: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onClose: ignore,
}

function ignore(): void {
  // Nobody has taken the connection over yet.
}
