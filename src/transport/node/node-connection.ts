/** `NodeConnection`: a connection over a socket of `node:net` or `node:tls`, by their public API. */
import type { Socket } from 'node:net'
import type { Connection, ConnectionHandler, CountingDuplex } from '../connection.js'
import type { ConnectionDigest } from '../digest.js'
import { NO_HANDLER } from './no-handler.js'
import type { ReadBuffer } from './read-buffer.js'
import { startReading } from './start-reading.js'

/** What a connection needs besides its socket. */
export interface NodeConnectionParts {
  readonly digest: ConnectionDigest
  /** The memory of a socket made with `onread`; `null` where bytes come as 'data' events. */
  readonly readBuffer: ReadBuffer | null
  /** Told of what a handler threw; the connection is destroyed by then. */
  readonly onUncaught: (error: unknown) => void
}

/**
 * A byte stream over a Node socket that is connected and not reading. An accepted or TLS socket
 * costs Node one allocation per read; a dialled one reads into its own {@link ReadBuffer}.
 */
export class NodeConnection implements Connection {
  handler: ConnectionHandler = NO_HANDLER
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  ownerEntry: object | null = null
  protocolState: object | null = null
  digest: ConnectionDigest
  readonly #socket: Socket
  readonly #readBuffer: ReadBuffer | null
  readonly #onUncaught: (error: unknown) => void
  readonly #afterWrite: () => void
  readonly #listeners: SocketListeners
  #paused = true
  #listening = false
  #corked = false
  #ended = false
  #drainWanted = false
  #endHeld = false
  #closeHeld = false
  #taken = false
  #error: Error | null = null

  constructor(socket: Socket, parts: NodeConnectionParts) {
    this.#socket = socket
    this.#readBuffer = parts.readBuffer
    this.#onUncaught = parts.onUncaught
    this.digest = parts.digest
    // One function for all writes: a closure for each would be garbage on the hot path.
    this.#afterWrite = () => {
      this.#drained()
    }
    this.#listeners = {
      data: (chunk) => {
        this.receive(chunk, chunk.length)
      },
      end: () => {
        this.#peerEnded()
      },
      error: (error) => {
        this.#failed(error)
      },
      close: () => {
        this.#closed()
      },
    }
    socket.on('error', this.#listeners.error)
    socket.on('end', this.#listeners.end)
    socket.on('close', this.#listeners.close)
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  write(data: string | Uint8Array): boolean {
    if (this.destroyed || this.#ended) return true
    if (data.length > 0) {
      this.bytesWritten += data.length
      if (typeof data === 'string') this.#socket.write(data, 'latin1', this.#afterWrite)
      else this.#socket.write(data, this.#afterWrite)
    }
    return this.#corked ? !this.#drainWanted : this.#allSent()
  }

  cork(): void {
    if (this.#corked || this.destroyed) return
    this.#corked = true
    this.#socket.cork()
  }

  uncork(): boolean {
    if (!this.#corked) return true
    this.#corked = false
    this.#socket.uncork()
    return this.destroyed || this.#allSent()
  }

  retain(): void {
    this.#readBuffer?.renew()
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    if (!this.destroyed) this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#endHeld || this.#closeHeld)
      queueMicrotask(() => {
        this.#tellHeld()
      })
    if (this.destroyed) return
    if (this.#readBuffer) {
      // Not `resume()`: that starts the read in a later tick, even when a `pause` came in between.
      this.#socket.read(0)
      return
    }
    if (!this.#listening) {
      this.#listening = true
      this.#socket.on('data', this.#listeners.data)
    }
    this.#socket.resume()
  }

  end(): void {
    if (this.#ended || this.destroyed) return
    this.#ended = true
    this.uncork()
    this.#socket.end()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#socket.destroy()
  }

  reset(): void {
    if (this.destroyed) return
    this.destroyed = true
    resetSocket(this.#socket, this.digest)
  }

  /** Takes bytes from the socket; only for the one who made it with `onread`. */
  receive(buffer: Buffer, length: number): void {
    if (this.#taken) this.#socket.push(Buffer.from(buffer.subarray(0, length)))
    if (this.destroyed) return
    this.bytesRead += length
    try {
      this.handler.onData(buffer, length)
    } catch (error) {
      this.#threw(error)
    }
  }

  /**
   * Takes the socket out, to put TLS on top of it: this connection counts as destroyed and tells
   * its handler nothing more. Whoever takes it listens for its errors.
   */
  takeSocket(): Socket {
    this.destroyed = true
    this.handler = NO_HANDLER
    this.#socket.off('data', this.#listeners.data)
    this.#socket.off('end', this.#listeners.end)
    this.#socket.off('close', this.#listeners.close)
    this.#socket.pause()
    return this.#socket
  }

  takeDuplex(prefix?: Uint8Array): CountingDuplex {
    const socket = this.#socket
    socket.off('end', this.#listeners.end)
    socket.off('data', this.#listeners.data)
    if (this.destroyed) return socket
    this.uncork()
    this.destroyed = true
    this.#taken = true
    socket.pause()
    socket.allowHalfOpen = false
    startReading(socket, prefix)
    // A peer that has ended by now tells no one a second time.
    if (this.#endHeld) socket.end()
    return socket
  }

  #allSent(): boolean {
    if (this.#socket.writableLength === 0) return true
    this.#drainWanted = true
    return false
  }

  #drained(): void {
    if (!this.#drainWanted || this.destroyed || this.#socket.writableLength > 0) return
    this.#drainWanted = false
    try {
      this.handler.onDrain()
    } catch (error) {
      this.#threw(error)
    }
  }

  #peerEnded(): void {
    if (this.destroyed) return
    // Node may see the FIN in a read that was under way when we paused.
    if (this.#paused) {
      this.#endHeld = true
      return
    }
    try {
      this.handler.onEnd()
    } catch (error) {
      this.#threw(error)
    }
  }

  #failed(error: Error): void {
    this.destroyed = true
    this.#error = error
  }

  #closed(): void {
    this.destroyed = true
    if (this.handler === NO_HANDLER) this.#closeHeld = true
    else this.#tellClose()
  }

  /** What happened while nobody could be told. */
  #tellHeld(): void {
    if (this.#paused) return
    if (this.#endHeld) {
      this.#endHeld = false
      this.#peerEnded()
    }
    if (this.#closeHeld) {
      this.#closeHeld = false
      this.#tellClose()
    }
  }

  #tellClose(): void {
    const handler = this.handler
    this.handler = NO_HANDLER
    try {
      handler.onClose(this.#error)
    } catch (error) {
      this.#onUncaught(error)
    }
  }

  /** An exception must not escape into Node, where it would end the process. */
  #threw(error: unknown): void {
    this.destroy()
    this.#onUncaught(error)
  }
}

interface SocketListeners {
  readonly data: (chunk: Buffer) => void
  readonly end: () => void
  readonly error: (error: Error) => void
  readonly close: () => void
}

/**
 * Sends RST where the socket can. A unix socket has no such thing and is closed; so is a TLS one,
 * since its peer can tell an end without close_notify from an orderly one, and since Node crashes
 * when the socket below is reset. The public call first waits until all pending bytes are sent and
 * then ends in a FIN, which is what a reset must not do: the field that it sets makes `destroy`
 * reset at once, and does no harm where it is unknown.
 */
function resetSocket(socket: Socket, digest: ConnectionDigest): void {
  const isPlainTcp = digest.peerIp !== '' && digest.tls === null
  // While a FIN is on its way libuv refuses to reset, and Node would leave the socket open.
  const isEnding = socket.writableEnded && socket.writableLength === 0 && !socket.writableFinished
  if (!isPlainTcp || isEnding) {
    socket.destroy()
  } else if (socket.writableLength === 0) {
    socket.resetAndDestroy()
  } else {
    ;(socket as { resetAndClosing?: boolean }).resetAndClosing = true
    socket.destroy()
  }
}
