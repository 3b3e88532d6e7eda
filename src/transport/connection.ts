/** `Connection`: the narrow waist. Everything above the transport talks to this byte stream. */
import type { Duplex } from 'node:stream'
import type { ConnectionDigest } from './digest.js'

/**
 * What a connection tells its owner. The calls are synchronous; none comes before the owner has
 * set itself as `handler`, and none after `onClose`.
 */
export interface ConnectionHandler {
  /**
   * Bytes came: the first `length` bytes of `buffer`. They are borrowed: after the call the memory
   * is used again, unless {@link Connection.retain} was called during it.
   */
  onData(buffer: Buffer, length: number): void
  /** The peer ended its direction (FIN); writing still works. At most once. */
  onEnd(): void
  /** All that was written is with the kernel, after a `write` that returned `false`. */
  onDrain(): void
  /** The connection is gone, with the error that ended it, if one did. Exactly once, the last call. */
  onClose(error: Error | null): void
}

/** A stream of Node that tells how many bytes have come on it, as its sockets do. */
export interface CountingDuplex extends Duplex {
  /** Bytes received so far. */
  readonly bytesRead: number
}

/**
 * A reliable stream of bytes in both directions: TCP, unix socket, TLS or memory.
 * It never throws and never emits: after its end all calls do nothing.
 */
export interface Connection {
  /** Who is told what happens. The owner changes as a connection goes to the pool and back. */
  handler: ConnectionHandler
  /** Addresses, TLS facts and times. A PROXY header or a proxy on the way replaces it, before it is used. */
  digest: ConnectionDigest
  /** Bytes that were written and are not with the kernel yet. */
  readonly pendingBytes: number
  /** Bytes received so far. */
  readonly bytesRead: number
  /** Bytes written so far, those pending included. */
  readonly bytesWritten: number
  /** Whether `onClose` has been called or `destroy` was. */
  readonly destroyed: boolean
  /** What its pool or its acceptor keeps about this connection; nobody else touches it. Default: none. */
  ownerEntry?: object | null
  /** What the protocol spoken here keeps from one use to the next; nobody else touches it. Default: none. */
  protocolState?: object | null

  /**
   * Writes latin1 text or bytes. Returns `false` when some are pending: keep going if you must, but
   * better wait for `onDrain`. Bytes must not change before they are drained.
   */
  write(data: string | Uint8Array): boolean
  /** Holds writes back until `uncork`, so that several become one system call. */
  cork(): void
  /** Sends what `cork` held back. Returns `false` when some of it is pending. */
  uncork(): boolean
  /** During `onData` only: the bytes of this call stay valid; the next read uses other memory. */
  retain(): void
  /** Stops reading. `onData` and `onEnd` do not come until `resume`. */
  pause(): void
  /** Reads again. */
  resume(): void
  /** Ends our direction after what was written (FIN). Reading goes on. */
  end(): void
  /** Closes both directions now. What is pending may be lost. */
  destroy(): void
  /** Closes with a reset (RST), so that the peer cannot take it for an orderly end. */
  reset(): void
  /**
   * Hands the byte stream over, once and for good, as a stream of Node: for protocols that Node
   * itself speaks, such as HTTP/2. Where there is a socket it is one. It may be paused. The connection is used up: of
   * its handler, which must be set before, only `onClose` is called, when the stream is gone.
   * @param prefix bytes that were read before, to be delivered first; copied. Default: none.
   */
  takeDuplex(prefix?: Uint8Array): CountingDuplex
}
