/** A connection without a socket, for tests of those who keep and count connections. */
import type { Connection, ConnectionDigest, ConnectionHandler } from '../../src/transport/index.js'

/** Does nothing by itself; a test plays the peer by calling `handler`. */
export class FakeConnection implements Connection {
  handler: ConnectionHandler = DEAF
  readonly digest: ConnectionDigest
  pendingBytes = 0
  bytesRead = 0
  bytesWritten = 0
  destroyed = false
  /** Calls of `resume`. */
  resumes = 0

  constructor(peerIp: string = '10.0.0.1') {
    const peerAddress = `${peerIp}:1`
    this.digest = { peerAddress, localAddress: '', peerIp, establishedMs: 0, tls: null }
  }

  write(): boolean {
    return true
  }

  cork(): void {
    // Nothing is ever held back.
  }

  uncork(): boolean {
    return true
  }

  retain(): void {
    // Nothing is ever lent.
  }

  pause(): void {
    // Nothing is ever read.
  }

  resume(): void {
    this.resumes++
  }

  end(): void {
    // There is nobody to see it.
  }

  /** As a socket does: the handler hears of it in a later turn. */
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    queueMicrotask(() => {
      this.handler.onClose(null)
    })
  }

  reset(): void {
    this.destroy()
  }
}

const DEAF: ConnectionHandler = { onData: ignore, onEnd: ignore, onDrain: ignore, onClose: ignore }

function ignore(): void {
  // Nobody has set itself yet.
}
