/** `MemoryWire`: the two directions of one connection of the memory network. */
import type { ResolvedLink } from './link-options.js'
import { MemoryPipe } from './memory-pipe.js'
import type { MemoryRoute } from './memory-route.js'

/** At which end of a wire a connection is: the one that dialled or the one that listens. */
export type WireSide = 'dialler' | 'listener'

/** What lies between two ends; it counts them, so that its route knows when it is gone. */
export class MemoryWire {
  readonly route: MemoryRoute
  /** How the route's link was when the connection was made; it stays like that. */
  readonly link: ResolvedLink
  /** From the dialler to the listener. */
  readonly toListener: MemoryPipe
  /** From the listener to the dialler. */
  readonly toDialler: MemoryPipe
  /** Whether the listening end starts TLS by itself. */
  startsTls = false
  #openEnds = 2

  /** @param names the addresses of the dialler and of the listener, as text. */
  constructor(route: MemoryRoute, names: readonly [string, string]) {
    const { toListener, toDialler } = route.link.resetAfterBytes
    const [dialler, listener] = names
    this.route = route
    this.link = route.link
    this.toListener = new MemoryPipe(route, `${dialler} -> ${listener}`, toListener)
    this.toDialler = new MemoryPipe(route, `${listener} -> ${dialler}`, toDialler)
    this.toListener.reverse = this.toDialler
    this.toDialler.reverse = this.toListener
    route.connections.add(this)
  }

  /** What comes in at this side. */
  inbound(side: WireSide): MemoryPipe {
    return side === 'dialler' ? this.toDialler : this.toListener
  }

  /** What goes out at this side. */
  outbound(side: WireSide): MemoryPipe {
    return side === 'dialler' ? this.toListener : this.toDialler
  }

  /** Sends a reset to both ends, as a device between them does. */
  resetBothEnds(): void {
    this.toListener.reset()
    this.toDialler.reset()
  }

  /** Closes an end that has no connection, as a connection does that is destroyed. */
  abandon(side: WireSide): void {
    const inbound = this.inbound(side)
    inbound.closeReader()
    if (!inbound.resetArrived) this.outbound(side).finish()
    this.endClosed()
  }

  /** Takes note that one end is closed. */
  endClosed(): void {
    this.#openEnds--
    if (this.#openEnds === 0) this.route.connections.delete(this)
  }
}
