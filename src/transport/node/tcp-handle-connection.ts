/** `TcpHandleConnection`: a connection on a TCP handle itself, past the streams of `net.Socket`. */
import { Socket } from 'node:net'
import { TurnEnd } from '../../time/internal.js'
import type { Connection, ConnectionHandler, CountingDuplex } from '../connection.js'
import { ConnectionDuplex } from '../connection-duplex.js'
import type { ConnectionDigest } from '../digest.js'
import { NO_HANDLER } from './no-handler.js'
import { startReading } from './start-reading.js'
import { UV_ECONNRESET, UV_EOF, statusError } from './tcp-binding.js'
import type { TcpBinding, TcpHandle, WriteRequest } from './tcp-binding.js'

/** What a connection needs besides its handle. */
export interface TcpHandleParts {
  readonly digest: ConnectionDigest
  /** Told of what a handler threw; the connection is destroyed by then. */
  readonly onUncaught: (error: unknown) => void
  /** Whether a read buffer that had to grow stays large: for the few connections to upstreams. */
  readonly staysLarge: boolean
}

/**
 * A byte stream on a connected TCP handle that is not reading. Reads go into one buffer per
 * connection, small until a read fills it; a write that the kernel takes at once costs no object.
 *
 * Text, which is what heads and small bodies are, leaves at the end of the turn of the event loop. So
 * all that has come is read before anything is sent: each peer is woken once for the answers of many
 * requests, not once for each, and what is written to one connection in a turn is one system call.
 */
export class TcpHandleConnection implements Connection {
  handler: ConnectionHandler = NO_HANDLER
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  ownerEntry: object | null = null
  protocolState: object | null = null
  digest: ConnectionDigest
  readonly #handle: TcpHandle
  readonly #binding: TcpBinding
  readonly #onUncaught: (error: unknown) => void
  readonly #staysLarge: boolean
  /** Used again for every write until one of them has to wait. */
  #request: WriteRequest | null = null
  #waitingWrites = 0
  #drainWanted = false
  #corkedChunks: (string | Uint8Array)[] | null = null
  /** Text that leaves at the end of the turn; with the kernel for all that the owner can tell. */
  #text = ''
  #readBuffer: Buffer | null = null
  #retained = false
  #reading = false
  #ended = false
  #endSent = false
  #peerEnded = false
  #endTold = false
  #error: Error | null = null
  #closed = false

  /** One read. What is returned becomes the memory of the next one. */
  readonly #onRead = (): Buffer | undefined => {
    const length = this.#binding.state[this.#binding.readResult]!
    if (this.destroyed) return undefined
    if (length <= 0) {
      this.#onReadEnd(length)
      return undefined
    }
    const buffer = this.#readBuffer!
    this.bytesRead += length
    try {
      this.handler.onData(buffer, length)
    } catch (thrown) {
      this.#threw(thrown)
      return undefined
    }
    return this.#nextReadBuffer(buffer, length)
  }

  constructor(handle: TcpHandle, binding: TcpBinding, parts: TcpHandleParts) {
    this.#handle = handle
    this.#binding = binding
    this.#onUncaught = parts.onUncaught
    this.#staysLarge = parts.staysLarge
    this.digest = parts.digest
    handle.onread = this.#onRead
  }

  get pendingBytes(): number {
    return this.#waitingWrites === 0 || this.destroyed ? 0 : this.#handle.writeQueueSize
  }

  write(data: string | Uint8Array): boolean {
    if (this.destroyed || this.#ended) return true
    const { length } = data
    if (length === 0) return this.#waitingWrites === 0
    this.bytesWritten += length
    if (this.#corkedChunks !== null) {
      this.#corkedChunks.push(data)
      return this.#waitingWrites === 0
    }
    if (typeof data === 'string') return this.#writeText(data)
    this.sendText()
    const request = this.#nextRequest()
    return this.#written(request, this.#handle.writeBuffer(request, data), data)
  }

  cork(): void {
    this.#corkedChunks ??= []
  }

  uncork(): boolean {
    const chunks = this.#corkedChunks
    this.#corkedChunks = null
    if (chunks === null || chunks.length === 0 || this.destroyed) return this.#waitingWrites === 0
    this.sendText()
    const request = this.#nextRequest()
    const flat: unknown[] = []
    for (const chunk of chunks) flat.push(chunk, typeof chunk === 'string' ? 'latin1' : 'buffer')
    return this.#written(request, this.#handle.writev(request, flat, false), flat)
  }

  retain(): void {
    this.#retained = true
  }

  pause(): void {
    if (!this.#reading) return
    this.#reading = false
    if (!this.destroyed) this.#handle.readStop()
  }

  resume(): void {
    if (this.#reading) return
    this.#reading = true
    if (this.#peerEnded || this.#closed) {
      // What happened while nobody could be told; in a later turn, as all other news.
      queueMicrotask(() => {
        this.#tellHeld()
      })
    }
    if (this.destroyed || this.#peerEnded) return
    if (this.#readBuffer === null) {
      this.#readBuffer = Buffer.allocUnsafeSlow(SMALL_READ_BYTES)
      this.#handle.useUserBuffer(this.#readBuffer)
    }
    this.#handle.readStart()
  }

  end(): void {
    if (this.#corkedChunks !== null) this.uncork()
    this.sendText()
    if (this.destroyed || this.#ended) return
    this.#ended = true
    const request = new this.#binding.ShutdownRequest()
    request.oncomplete = () => {
      this.#endSent = true
      this.#closeWhenBothEnded()
    }
    if (this.#handle.shutdown(request) < 0) this.destroy()
  }

  destroy(): void {
    this.sendText()
    if (this.destroyed) return
    this.destroyed = true
    this.#handle.close(() => {
      this.#onClosed()
    })
  }

  reset(): void {
    this.sendText()
    if (this.destroyed) return
    this.destroyed = true
    const onClosed = (): void => {
      this.#onClosed()
    }
    // While a half-close is under way libuv refuses to reset, and Node then forgets to close.
    const isEnding = this.#ended && !this.#endSent
    if (isEnding || this.#handle.reset(onClosed) < 0) this.#handle.close(onClosed)
  }

  takeDuplex(prefix?: Uint8Array): CountingDuplex {
    if (this.#corkedChunks !== null) this.uncork()
    this.sendText()
    // What waits is told to this connection, and so is an end that was seen.
    if (this.destroyed || this.#ended || this.#peerEnded || this.#waitingWrites > 0)
      return new ConnectionDuplex(this, prefix)
    this.pause()
    this.destroyed = true
    const socket = socketOn(this.#handle)
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      this.#onClosed()
    })
    startReading(socket, prefix)
    return socket
  }

  #writeText(text: string): boolean {
    if (this.#text === '') TURN_END.add(this)
    this.#text += text
    // While writes wait, or when it is much, there is nothing to save any more.
    if (this.#waitingWrites > 0 || this.#text.length > MAX_HELD_TEXT) this.sendText()
    return this.#waitingWrites === 0
  }

  /** Hands the text of this turn to the kernel. Called at its end, and before what must not overtake it. */
  sendText(): void {
    const text = this.#text
    if (text === '') return
    this.#text = ''
    const request = this.#nextRequest()
    this.#written(request, this.#handle.writeLatin1String(request, text), text)
  }

  #nextRequest(): WriteRequest {
    if (this.#request !== null) return this.#request
    const request = new this.#binding.WriteRequest()
    this.#request = request
    return request
  }

  /** Takes note of a write. Returns whether the kernel has taken everything. */
  #written(request: WriteRequest, status: number, data: unknown): boolean {
    const { state, lastWriteWasAsync } = this.#binding
    if (status < 0) {
      this.#fail(status, 'write')
      return true
    }
    if (state[lastWriteWasAsync] === 0) return this.#waitingWrites === 0
    request.data = data
    request.oncomplete = (result) => {
      this.#onWritten(result)
    }
    this.#request = null
    this.#waitingWrites++
    this.#drainWanted = true
    return false
  }

  #onWritten(status: number): void {
    this.#waitingWrites--
    if (this.destroyed) return
    if (status < 0) {
      this.#fail(status, 'write')
      return
    }
    if (this.#waitingWrites > 0 || !this.#drainWanted) return
    this.#drainWanted = false
    try {
      this.handler.onDrain()
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  /** A filled buffer says that more is coming: the next read gets a large one, until reads are small again. */
  #nextReadBuffer(buffer: Buffer, length: number): Buffer | undefined {
    const isLarge = buffer.length > SMALL_READ_BYTES
    const wantsLarge =
      length === buffer.length || (isLarge && (this.#staysLarge || length > SMALL_READ_BYTES))
    if (!this.#retained && wantsLarge === isLarge) return undefined
    this.#retained = false
    this.#readBuffer = Buffer.allocUnsafeSlow(wantsLarge ? LARGE_READ_BYTES : SMALL_READ_BYTES)
    return this.#readBuffer
  }

  #onReadEnd(status: number): void {
    if (status === 0) return
    if (status !== UV_EOF || this.#wasReset()) {
      this.#fail(status === UV_EOF ? UV_ECONNRESET : status, 'read')
      return
    }
    this.#peerEnded = true
    this.#handle.readStop()
    if (this.#reading) this.#tellEnd()
  }

  /**
   * libuv takes a reset that came behind unread bytes for an orderly end, which would make a cut body
   * look whole. A socket that was reset has no peer any more; one that got a FIN still does.
   */
  #wasReset(): boolean {
    return !this.#ended && this.#handle.getpeername({}) < 0
  }

  #tellEnd(): void {
    if (this.#endTold || this.destroyed) return
    this.#endTold = true
    try {
      this.handler.onEnd()
    } catch (thrown) {
      this.#threw(thrown)
    }
    this.#closeWhenBothEnded()
  }

  #closeWhenBothEnded(): void {
    if (this.#endSent && this.#endTold) this.destroy()
  }

  #fail(status: number, syscall: string): void {
    this.#error = statusError(status, syscall)
    this.destroy()
  }

  #onClosed(): void {
    this.#closed = true
    // Whoever sets itself as handler later is told when it reads.
    if (this.handler !== NO_HANDLER) this.#tellClose()
  }

  #tellHeld(): void {
    if (!this.#reading) return
    if (this.#closed) {
      if (this.handler !== NO_HANDLER) this.#tellClose()
    } else if (this.#peerEnded) this.#tellEnd()
  }

  #tellClose(): void {
    const { handler } = this
    this.handler = NO_HANDLER
    try {
      handler.onClose(this.#error)
    } catch (thrown) {
      this.#onUncaught(thrown)
    }
  }

  /** An exception must not escape into Node, where it would end the process. */
  #threw(thrown: unknown): void {
    this.destroy()
    this.#onUncaught(thrown)
  }
}

/** A socket that does not read yet. Reads of its own go into memory of ours, for the handle has had some. */
function socketOn(handle: TcpHandle): Socket {
  const onread = {
    buffer: () => Buffer.allocUnsafeSlow(LARGE_READ_BYTES),
    callback: (length: number, buffer: Uint8Array): boolean =>
      socket.push(Buffer.from(buffer.subarray(0, length))),
  }
  const options: object = { handle, onread, manualStart: true, readable: true, writable: true }
  const socket = new Socket(options)
  return socket
}

/** The connections of this thread that hold text. */
const TURN_END = new TurnEnd<TcpHandleConnection>((connection) => {
  connection.sendText()
})
/** Longer text is worth a system call of its own. */
const MAX_HELD_TEXT = 16 * 1024
/** Enough for most heads, and little enough for thousands of idle clients. */
const SMALL_READ_BYTES = 4 * 1024
/** What is worth one system call while a body streams. */
const LARGE_READ_BYTES = 64 * 1024
