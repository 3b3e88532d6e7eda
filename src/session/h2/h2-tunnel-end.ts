/** An HTTP/2 stream that carries the bytes of a tunnel (RFC 9113 §8.5, RFC 8441). */
import type { Http2Stream } from 'node:http2'
import type { ProxyError } from '../../error/index.js'
import type { TunnelEnd, TunnelHandler } from '../tunnel-end.js'
import { isWhole } from './stream-end.js'

/** One end of a tunnel, on a stream whose head has been sent. */
export class H2TunnelEnd implements TunnelEnd {
  handler: TunnelHandler | null = null
  /** Bytes told so far. */
  bytesRead = 0
  /** Bytes written so far. */
  bytesWritten = 0
  readonly #stream: Http2Stream
  #listens = false
  #drainWanted = false
  /** The peer has ended its direction; and it was told. */
  #isEnded = false
  #peerEnded = false
  #ourEnd = false
  readonly #onWritten = (): void => {
    this.#written()
  }

  constructor(stream: Http2Stream) {
    this.#stream = stream
    // A tunnel in which the peer says nothing ends without anybody who reads it.
    stream.on('end', () => {
      this.#isEnded = isWhole(stream)
      if (this.#isEnded && this.#listens) this.#tellEnd()
    })
  }

  write(buffer: Buffer, from: number, to: number): boolean {
    const length = to - from
    this.bytesWritten += length
    if (this.#stream.destroyed || this.#ourEnd) return true
    const isSmall = length <= MAX_COPIED_BYTES
    const bytes = buffer.subarray(from, to)
    this.#stream.write(isSmall ? Buffer.from(bytes) : bytes, this.#onWritten)
    if (isSmall && this.#stream.writableLength < MAX_COPIED_BYTES) return true
    this.#drainWanted = true
    return false
  }

  end(): boolean {
    this.#ourEnd = true
    if (this.#stream.destroyed) return true
    this.#drainWanted = true
    this.#stream.end(this.#onWritten)
    return false
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    if (!this.#listens) this.#listen()
    this.#stream.resume()
    if (this.#isEnded) this.#tellEnd()
  }

  retain(): void {
    // Each chunk of a stream has memory of its own.
  }

  /** Whether both directions have ended. */
  get isOver(): boolean {
    return this.#peerEnded && this.#ourEnd
  }

  /** The peer is gone. */
  fail(error: ProxyError): void {
    const { handler } = this
    this.handler = null
    handler?.onError(error)
  }

  #listen(): void {
    this.#listens = true
    this.#stream.on('data', (chunk: Buffer) => {
      this.bytesRead += chunk.length
      this.handler?.onData(chunk, 0, chunk.length)
    })
  }

  #tellEnd(): void {
    if (this.#peerEnded) return
    this.#peerEnded = true
    this.handler?.onEnd()
  }

  #written(): void {
    if (!this.#drainWanted || this.#stream.writableLength > 0) return
    this.#drainWanted = false
    this.handler?.onDrain()
  }
}

/** Small pieces are copied, so that their sender need not wait; large ones are lent until they are sent. */
const MAX_COPIED_BYTES = 16 * 1024
