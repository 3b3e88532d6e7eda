/** `RingConnection`: a connection whose reads and writes share system calls with those of all others. */
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { IoUring, Memory } from '../../os/internal.js'
import type { IoVector } from '../../os/internal.js'
import type { Connection, ConnectionHandler, CountingDuplex } from '../connection.js'
import { ConnectionDuplex } from '../connection-duplex.js'
import type { ConnectionDigest } from '../digest.js'
import { NO_HANDLER } from '../node/no-handler.js'
import { startReading } from '../node/start-reading.js'
import { statusError } from '../node/tcp-binding.js'
import type { RingLoop, RingUser } from './ring-loop.js'
import { RingWriter } from './ring-writer.js'
import type { RingWriterOwner } from './ring-writer.js'

/** What a connection needs besides its descriptor. */
export interface RingParts {
  readonly digest: ConnectionDigest
  /** Told of what a handler threw; the connection is destroyed by then. */
  readonly onUncaught: (error: unknown) => void
  /** Whether a read buffer that had to grow stays large: for the few connections to upstreams. */
  readonly staysLarge: boolean
}

/**
 * A byte stream on a connected, blocking descriptor. While the owner reads, one receive is with the
 * kernel, into one buffer per connection, small until a read fills it.
 */
export class RingConnection implements Connection, RingUser, RingWriterOwner {
  handler: ConnectionHandler = NO_HANDLER
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  ownerEntry: object | null = null
  protocolState: object | null = null
  digest: ConnectionDigest
  readonly #loop: RingLoop
  readonly #fd: number
  readonly #slot: number
  readonly #writer: RingWriter
  readonly #onUncaught: (error: unknown) => void
  readonly #staysLarge: boolean
  #corked: IoVector[] | null = null
  #memory: Memory | null = null
  #reading = false
  /** A receive is with the kernel, which may write to the memory at any time. */
  #receiving = false
  /** The handler has the memory. */
  #delivering = false
  /** Bytes that came while the owner did not read. */
  #heldBytes = 0
  #retained = false
  #ended = false
  #endSent = false
  #peerEnded = false
  #endTold = false
  #error: Error | null = null
  /** The descriptor is closed. */
  #fdClosed = false
  #closed = false

  constructor(loop: RingLoop, fd: number, parts: RingParts) {
    this.#loop = loop
    this.#fd = fd
    this.#slot = loop.join(this, fd)
    this.#writer = new RingWriter(loop, this, fd, this.#slot, SENT)
    this.#onUncaught = parts.onUncaught
    this.#staysLarge = parts.staysLarge
    this.digest = parts.digest
  }

  get pendingBytes(): number {
    return this.destroyed ? 0 : this.#writer.pendingBytes
  }

  write(data: string | Uint8Array): boolean {
    if (this.destroyed || this.#ended) return true
    const { length } = data
    if (length === 0) return !this.#writer.isPending
    this.bytesWritten += length
    if (this.#corked !== null) {
      this.#corked.push(data)
      return !this.#writer.isPending
    }
    return typeof data === 'string' ? this.#writer.writeText(data) : this.#writer.writeNow([data])
  }

  cork(): void {
    this.#corked ??= []
  }

  uncork(): boolean {
    const corked = this.#corked ?? []
    this.#corked = null
    return this.destroyed || this.#writer.writeNow(corked)
  }

  retain(): void {
    this.#retained = true
  }

  pause(): void {
    this.#reading = false
  }

  resume(): void {
    if (this.#reading) return
    this.#reading = true
    if (this.#heldBytes > 0 || this.#peerEnded || this.#closed) {
      // What happened while nobody could be told; in a later turn, as all other news.
      queueMicrotask(() => {
        this.#tellHeld()
      })
    } else this.#receive(true)
  }

  end(): void {
    if (this.#corked !== null) this.uncork()
    if (this.destroyed || this.#ended) return
    this.#ended = true
    this.#writer.end()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    if (!this.#writer.close()) this.#closeDescriptor()
    this.#loop.wake()
  }

  reset(): void {
    if (!this.destroyed) this.#loop.sockets.resetOnClose(this.#fd)
    this.destroy()
  }

  takeDuplex(prefix?: Uint8Array): CountingDuplex {
    this.uncork()
    if (!this.#canLeave) return new ConnectionDuplex(this, prefix)
    this.destroyed = true
    this.#reading = false
    this.#writer.close()
    const held = Buffer.from(this.#memory?.bytes.subarray(0, this.#heldBytes) ?? [])
    const options = { fd: this.#fd, readable: true, writable: true, manualStart: true }
    const socket = new Socket(options)
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      this.#onClosed()
    })
    this.#leave()
    startReading(socket, Buffer.concat([prefix ?? NOTHING, held]))
    return socket
  }

  /** Whether the ring has nothing to do with the descriptor: then it can go elsewhere. */
  get #canLeave(): boolean {
    if (this.destroyed || this.#ended || this.#peerEnded) return false
    return !this.#receiving && !this.#writer.isSending && !this.#writer.isPending
  }

  // RingUser

  completed(kind: number, result: number, flags: number): void {
    if (kind === RECEIVED) this.#received(result, flags)
    else if (kind === READABLE) this.#readable()
    else if (kind === SENT) this.#writer.sent(result)
    else if (kind === IoUring.UNSENT) this.#writer.unsent(result)
    else this.#fdClosed = true
    this.#leaveWhenUnused()
  }

  // RingWriterOwner

  drained(): void {
    try {
      this.handler.onDrain()
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  writeFailed(status: number): void {
    this.#fail(status, 'write')
  }

  endSent(): void {
    this.#endSent = true
    this.#closeWhenBothEnded()
  }

  lastTextLeft(): void {
    this.#closeDescriptor()
  }

  settledClosed(): void {
    this.#leaveWhenUnused()
  }

  // Reading

  /** @param waits whether nothing is expected to be there yet. */
  #receive(waits: boolean): void {
    if (!this.#reading || this.#receiving || this.#delivering || this.#peerEnded) return
    if (this.destroyed) return
    this.#memory ??= this.#loop.readMemory.take()
    this.#receiving = true
    const { ring, readMemory } = this.#loop
    if (this.#memory.bytes.length === readMemory.pieceBytes) {
      ring.receive(this.#slot, RECEIVED, this.#fd, this.#memory, waits)
    } else ring.readable(this.#slot, READABLE, this.#fd)
    this.#loop.wake()
  }

  /** Large memory is not the loop's, and may go with the thread: it is written to only while we look. */
  #readable(): void {
    const { sockets } = this.#loop
    this.#received(this.destroyed ? 0 : sockets.receive(this.#fd, this.#memory!.bytes), 0)
  }

  #received(result: number, flags: number): void {
    this.#receiving = false
    if (this.destroyed) return
    if (result === EAGAIN) {
      this.#receive(true)
      return
    }
    if (result > 0) {
      this.bytesRead += result
      if (this.#reading) this.#deliver(result, !IoUring.hasMore(flags))
      else this.#heldBytes = result
    } else if (result < 0) this.#fail(result, 'read')
    else {
      this.#peerEnded = true
      if (this.#reading) this.#tellEnd()
    }
  }

  #deliver(length: number, waits: boolean): void {
    const memory = this.#memory!
    this.#delivering = true
    try {
      this.handler.onData(memory.bytes, length)
    } catch (thrown) {
      this.#threw(thrown)
    }
    this.#delivering = false
    this.#memory = this.#nextMemory(memory, length)
    if (this.#closed) this.#freeMemory()
    else this.#receive(waits)
  }

  /** A filled buffer says that more is coming: the next read gets a large one, until reads are small again. */
  #nextMemory(memory: Memory, length: number): Memory {
    const { libc, readMemory } = this.#loop
    const size = memory.bytes.length
    const isLarge = size > readMemory.pieceBytes
    const wantsLarge =
      length === size || (isLarge && (this.#staysLarge || length > readMemory.pieceBytes))
    if (!this.#retained && wantsLarge === isLarge) return memory
    if (!isLarge) {
      if (this.#retained) readMemory.lend(memory)
      else readMemory.give(memory)
    }
    this.#retained = false
    return wantsLarge ? Memory.allocate(libc, LARGE_READ_BYTES) : readMemory.take()
  }

  #tellHeld(): void {
    if (!this.#reading) return
    if (this.#closed) {
      if (this.handler !== NO_HANDLER) this.#tellClose()
    } else if (this.destroyed) return
    else if (this.#heldBytes > 0) {
      const length = this.#heldBytes
      this.#heldBytes = 0
      this.#deliver(length, true)
    } else if (this.#peerEnded) this.#tellEnd()
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

  // The end

  #closeWhenBothEnded(): void {
    if (this.#endSent && this.#endTold) this.destroy()
  }

  #fail(status: number, syscall: string): void {
    this.#error ??= statusError(status, syscall)
    this.destroy()
  }

  #closeDescriptor(): void {
    const { ring } = this.#loop
    // An operation in progress holds the socket open, closed descriptor or not.
    if (this.#receiving || this.#writer.isSending) ring.cancel(this.#fd)
    ring.close(this.#slot, CLOSED, this.#fd)
  }

  /** A closed descriptor is not enough: the ring may have to do with our memory still. */
  #leaveWhenUnused(): void {
    if (!this.#fdClosed || this.#closed || this.#receiving || this.#writer.isSending) return
    this.#leave()
    this.#onClosed()
  }

  #leave(): void {
    this.#closed = true
    this.#loop.leave(this.#slot)
    if (!this.#delivering) this.#freeMemory()
  }

  #freeMemory(): void {
    const { readMemory } = this.#loop
    if (this.#memory?.bytes.length === readMemory.pieceBytes) readMemory.give(this.#memory)
    this.#memory = null
  }

  #onClosed(): void {
    // Whoever sets itself as handler later is told when it reads.
    if (this.handler !== NO_HANDLER) this.#tellClose()
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

  /** An exception must not escape into the loop, where others would miss their turn. */
  #threw(thrown: unknown): void {
    this.destroy()
    this.#onUncaught(thrown)
  }
}

/** Kinds of completions. */
const RECEIVED = 0
const SENT = 1
const CLOSED = 2
const READABLE = 3
const EAGAIN = -constants.errno.EAGAIN
const NOTHING = Buffer.alloc(0)
/** What is worth one system call while a body streams. */
const LARGE_READ_BYTES = 64 * 1024
