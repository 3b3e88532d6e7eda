/** One end of a tunnel: raw bytes to and from the client or the upstream, whatever protocol carries them. */
import { ProxyError } from '../error/index.js'
import { TUNNEL, isTunnelAnswer } from '../protocols/index.js'
import type { BodyLength } from '../protocols/index.js'

/** What an end of a tunnel tells the one that moves the bytes. Calls are synchronous. */
export interface TunnelHandler {
  /** `buffer[from, to)` came; borrowed for the call, see `TunnelEnd.retain`. */
  onData(buffer: Buffer, from: number, to: number): void
  /** The peer has ended its direction (FIN); ours goes on. At most once. */
  onEnd(): void
  /** The peer has taken all that was written, after a write that returned `false`. */
  onDrain(): void
  /** The peer is gone otherwise than by an orderly end. Nothing comes after it. */
  onError(error: ProxyError): void
}

/**
 * One end of a tunnel. Nothing is told before the first `resume`; what came before is told then. It is
 * closed with the session that it came from, and that is a reset unless both directions have ended.
 */
export interface TunnelEnd {
  /** Who is told; `null`: nobody any more. */
  handler: TunnelHandler | null
  /** Writes bytes. `false`: some are pending, keep them unchanged and wait for the drain. */
  write(buffer: Buffer, from: number, to: number): boolean
  /** Ends our direction behind what was written. `false`: some is pending, and a drain will come. */
  end(): boolean
  /** Stops the delivery until `resume`. */
  pause(): void
  /** Starts the delivery, or goes on with it; what came meanwhile is told at once. */
  resume(): void
  /** During `onData` only: the bytes of the call stay valid afterwards. */
  retain(): void
}

/**
 * What the status of the answer to `method` says to the client must be what becomes of the connection.
 * @throws {@link ProxyError} `PGR_RESPONSE_ORDER` when only one of the two is a tunnel.
 */
export function assertOpensTunnel(method: string, status: number, bodyLength: BodyLength): void {
  if ((bodyLength === TUNNEL) === isTunnelAnswer(method, status)) return
  throw new ProxyError('PGR_RESPONSE_ORDER', `${status} does not fit what the upstream has opened`)
}
