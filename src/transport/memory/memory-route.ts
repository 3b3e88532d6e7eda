/** `MemoryRoute`: the way to one listening address of the memory network, and its faults. */
import type { Clock } from '../../time/index.js'
import type { Random } from '../environment.js'
import type { ResolvedLink } from './link-options.js'

/** What all routes of a network share. */
export interface MemoryWorld {
  readonly clock: Clock
  readonly random: Random
  /** Told of each event on the network, as one line; `null` where nobody wants to know. */
  readonly trace: ((line: string) => void) | null
}

/** A connection on a route, as far as faults are concerned. */
export interface Resettable {
  /** Sends a reset to both ends. */
  resetBothEnds(): void
}

/** Which faults a route has. */
export type RouteFault = 'refused' | 'blackholed' | 'partitioned'

/** Knows how connections to one address are made and what holds them up. */
export class MemoryRoute {
  /** The listening address, as text. */
  readonly address: string
  readonly world: MemoryWorld
  /** How connections from now on are. */
  link: ResolvedLink
  /** The connections that are not closed at both ends. */
  readonly connections: Set<Resettable> = new Set<Resettable>()
  /** Whether nothing at all gets through; a field, since every packet asks. */
  isPartitioned = false
  readonly #faults = new Set<RouteFault>()
  /** What goes on when the route is healed, in order; at most a few for each connection and dial. */
  readonly #held = new Set<() => void>()

  constructor(address: string, world: MemoryWorld, link: ResolvedLink) {
    this.address = address
    this.world = world
    this.link = link
  }

  /** Whether the route has this fault now. */
  has(fault: RouteFault): boolean {
    return this.#faults.has(fault)
  }

  /** Whether who knocks gets no answer. */
  get isSilent(): boolean {
    return this.#faults.has('blackholed') || this.isPartitioned
  }

  /** Adds a fault. */
  break(fault: RouteFault): void {
    this.#faults.add(fault)
    this.isPartitioned = this.#faults.has('partitioned')
  }

  /** Takes all faults back; what was held goes on in the order in which it was held. */
  heal(): void {
    this.#faults.clear()
    this.isPartitioned = false
    const held = [...this.#held]
    this.#held.clear()
    for (const goOn of held) this.world.clock.schedule(0, goOn)
  }

  /** Calls `goOn` when the route is healed. */
  hold(goOn: () => void): void {
    this.#held.add(goOn)
  }

  /** Forgets what {@link hold} was given. */
  release(goOn: () => void): void {
    this.#held.delete(goOn)
  }

  /** Sends a reset to both ends of every connection. */
  resetAll(): void {
    for (const connection of [...this.connections]) connection.resetBothEnds()
  }
}
