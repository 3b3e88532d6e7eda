/** `MemoryConnection`: one end of a connection of the memory network. */
import { constants } from 'node:os'
import type { Clock } from '../../time/index.js'
import type { Connection, ConnectionHandler, CountingDuplex } from '../connection.js'
import { ConnectionDuplex } from '../connection-duplex.js'
import type { ConnectionDigest } from '../digest.js'
import { NO_HANDLER } from '../node/no-handler.js'
import { UV_ECONNRESET, statusError } from '../node/tcp-binding.js'
import { LentBuffer } from './lent-buffer.js'
import { checkByteCount } from './link-options.js'
import type { MemoryPipe } from './memory-pipe.js'
import type { MemoryWire, WireSide } from './memory-wire.js'
import { WaitingWrites } from './waiting-writes.js'

/** What a connection needs besides its wire. */
export interface MemoryConnectionParts {
  readonly wire: MemoryWire
  readonly side: WireSide
  readonly digest: ConnectionDigest
  /** Told of what a handler threw; the connection is destroyed by then. */
  readonly onUncaught: (error: unknown) => void
  /** Told once, when this end is closed and before its handler is told. */
  readonly onClosed: (connection: MemoryConnection) => void
}

/**
 * A byte stream that behaves as one over TCP on Linux does. Whatever it tells its handler it tells
 * in a call of the network's clock, never within a call of the other end or of its own. What is
 * lent to `onData` is overwritten afterwards, so that code that keeps it unasked is found out.
 */
export class MemoryConnection implements Connection {
  handler: ConnectionHandler = NO_HANDLER
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  ownerEntry: object | null = null
  protocolState: object | null = null
  digest: ConnectionDigest
  readonly #parts: MemoryConnectionParts
  readonly #clock: Clock
  readonly #in: MemoryPipe
  readonly #out: MemoryPipe
  readonly #lent = new LentBuffer()
  readonly #waiting = new WaitingWrites()
  #corked: (string | Uint8Array)[] | null = null
  #corkedBytes = 0
  #reading = false
  #newsScheduled = false
  #ended = false
  #endSent = false
  #endTold = false
  #closed = false
  #closeTold = false
  #error: Error | null = null

  /** Made by the network. */
  constructor(parts: MemoryConnectionParts) {
    const { wire, side, digest } = parts
    this.#parts = parts
    this.#clock = wire.route.world.clock
    this.digest = digest
    this.#in = wire.inbound(side)
    this.#out = wire.outbound(side)
    this.#in.onArrival = () => {
      this.#arrived()
    }
    this.#out.onRoom = () => {
      this.#moveWaiting()
      if (this.#waiting.bytes === 0) this.#tellDrain()
    }
  }

  get pendingBytes(): number {
    return this.#waiting.bytes + this.#corkedBytes
  }

  write(data: string | Uint8Array): boolean {
    if (this.destroyed || this.#ended) return true
    const { length } = data
    if (length > 0) {
      this.bytesWritten += length
      if (this.#corked === null) this.#send(data)
      else {
        this.#corked.push(data)
        this.#corkedBytes += length
      }
    }
    return this.#waiting.bytes === 0
  }

  cork(): void {
    if (!this.destroyed && !this.#ended) this.#corked ??= []
  }

  uncork(): boolean {
    const chunks = this.#corked
    this.#corked = null
    this.#corkedBytes = 0
    if (chunks !== null && chunks.length > 0) this.#sendTogether(chunks)
    return this.#waiting.bytes === 0
  }

  retain(): void {
    this.#lent.retain()
  }

  pause(): void {
    if (!this.#reading) return
    this.#reading = false
    // A reset that lay behind unread bytes is found out by the pending ones from now on.
    if (this.#in.resetArrived && this.#waiting.bytes > 0) this.#clock.schedule(0, this.#onReset)
  }

  resume(): void {
    if (this.#reading) return
    this.#reading = true
    this.#scheduleNews()
  }

  end(): void {
    if (this.destroyed || this.#ended) return
    this.uncork()
    this.#ended = true
    if (this.#waiting.bytes === 0) this.#sendEnd()
  }

  destroy(): void {
    if (this.destroyed) return
    this.#in.closeReader()
    // After the reset that unread bytes call for, this does nothing.
    if (!this.#in.resetArrived) this.#out.finish()
    this.#close()
  }

  reset(): void {
    if (this.destroyed) return
    // Neither a unix socket nor TLS can send one; see `NodeConnection`.
    if (this.digest.peerIp === '' || this.digest.tls !== null) {
      this.destroy()
      return
    }
    if (!this.#in.resetArrived) this.#out.reset()
    this.#in.closeReader()
    this.#close()
  }

  takeDuplex(prefix?: Uint8Array): CountingDuplex {
    return new ConnectionDuplex(this, prefix)
  }

  /**
   * Breaks the connection once `bytes` more have arrived in one direction: both ends see a reset,
   * the receiving one behind exactly these bytes. With 0, none of the next bytes arrive.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when `bytes` is negative or no integer.
   */
  resetAfter(bytes: number, direction: 'toListener' | 'toDialler'): void {
    checkByteCount('resetAfter', bytes)
    this.#parts.wire[direction].resetAfter(bytes)
  }

  /** The wire that it is an end of; for the network. */
  get wire(): MemoryWire {
    return this.#parts.wire
  }

  /**
   * Lets go of the wire, for TLS on top of it: this connection counts as destroyed and tells its
   * handler nothing more. For the network.
   */
  detach(): void {
    this.destroyed = true
    this.handler = NO_HANDLER
    this.#in.onArrival = null
    this.#out.onRoom = null
  }

  // Writing

  #send(data: string | Uint8Array): void {
    if (this.#in.resetArrived) {
      this.#failWrite()
      return
    }
    const out = this.#out
    if (this.#waiting.bytes === 0 && data.length <= out.room) {
      out.append(data, 0, data.length)
      out.commit(data.length)
      return
    }
    const isFirst = this.#waiting.bytes === 0
    this.#waiting.add(data, true)
    if (isFirst) this.#moveWaiting()
  }

  /** Sends all chunks as one write. */
  #sendTogether(chunks: readonly (string | Uint8Array)[]): void {
    if (this.destroyed) return
    if (this.#in.resetArrived) {
      this.#failWrite()
      return
    }
    const isFirst = this.#waiting.bytes === 0
    const last = chunks.length - 1
    for (let index = 0; index <= last; index++) {
      this.#waiting.add(chunks[index]!, index === last)
    }
    if (isFirst) this.#moveWaiting()
  }

  /** Hands over what the pipe has room for. */
  #moveWaiting(): void {
    this.#waiting.moveTo(this.#out)
    if (this.#waiting.bytes > 0) this.#out.wantRoom()
    else if (this.#ended) this.#sendEnd()
  }

  #tellDrain(): void {
    try {
      this.handler.onDrain()
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  #sendEnd(): void {
    if (!this.#in.resetArrived) this.#out.finish()
    if (!this.#endTold) {
      this.#endSent = true
      return
    }
    // As all news, the close comes in a later call, and not within that of the owner.
    this.#clock.schedule(0, () => {
      this.#endSent = true
      this.#closeWhenBothEnded()
    })
  }

  // Reading

  #arrived(): void {
    if (this.#in.resetArrived) this.#onReset()
    if (this.#reading && !this.#newsScheduled) this.#tellNext()
  }

  /** Who does not read learns of a reset only by bytes that cannot leave. */
  readonly #onReset = (): void => {
    if (this.#waiting.bytes > 0 && (!this.#reading || this.#endTold)) this.#failWrite()
  }

  #scheduleNews(): void {
    if (this.#newsScheduled || !this.#hasNews()) return
    this.#newsScheduled = true
    this.#clock.schedule(0, this.#onNews)
  }

  #hasNews(): boolean {
    if (this.destroyed) return this.#closed && !this.#closeTold
    const { readable, finArrived, resetArrived } = this.#in
    return readable > 0 || ((finArrived || resetArrived) && !this.#endTold)
  }

  readonly #onNews = (): void => {
    this.#newsScheduled = false
    if (!this.#reading) return
    if (this.#closed) this.#tellClose()
    else this.#tellNext()
  }

  /** Tells one thing: a piece, the end, or the reset. */
  #tellNext(): void {
    if (this.destroyed) return
    const { readable, finArrived, resetArrived } = this.#in
    if (readable > 0) this.#tellData()
    else if (this.#endTold) return
    // A reset behind the FIN must not make a cut body look whole; who has ended does not care.
    else if (resetArrived && !(finArrived && this.#ended)) this.#fail(UV_ECONNRESET, 'read')
    else if (finArrived) this.#tellEnd()
    if (this.#reading) this.#scheduleNews()
  }

  #tellData(): void {
    const length = this.#in.nextPiece()
    const buffer = this.#lent.lend(length)
    this.#in.read(buffer, length)
    this.bytesRead += length
    try {
      this.handler.onData(buffer, length)
    } catch (thrown) {
      this.#threw(thrown)
    }
    this.#lent.takeBack(length)
  }

  #tellEnd(): void {
    this.#endTold = true
    try {
      this.handler.onEnd()
    } catch (thrown) {
      this.#threw(thrown)
    }
    this.#closeWhenBothEnded()
  }

  // Closing

  #closeWhenBothEnded(): void {
    if (this.#endSent && this.#endTold) this.destroy()
  }

  #failWrite(): void {
    this.#fail(this.#in.finArrived ? UV_EPIPE : UV_ECONNRESET, 'write')
  }

  #fail(status: number, syscall: string): void {
    this.#error = statusError(status, syscall)
    this.destroy()
  }

  #close(): void {
    this.destroyed = true
    this.#corked = null
    this.#corkedBytes = 0
    this.#waiting.clear()
    this.#out.onRoom = null
    this.#clock.schedule(0, this.#onClosed)
  }

  readonly #onClosed = (): void => {
    this.#closed = true
    this.#parts.wire.endClosed()
    this.#parts.onClosed(this)
    this.#tellClose()
  }

  /** Whoever sets itself as handler later is told when it reads. */
  #tellClose(): void {
    if (this.#closeTold || this.handler === NO_HANDLER) return
    this.#closeTold = true
    const { handler } = this
    this.handler = NO_HANDLER
    try {
      handler.onClose(this.#error)
    } catch (thrown) {
      this.#parts.onUncaught(thrown)
    }
  }

  /** An exception must not escape into the clock, where it would end somebody else's call. */
  #threw(thrown: unknown): void {
    this.destroy()
    this.#parts.onUncaught(thrown)
  }
}

/** What libuv reports for a write to a peer that has ended and is gone. */
const UV_EPIPE = -constants.errno.EPIPE
