/** `MemoryPipe`: one direction of a memory connection, from the writer's kernel to the reader's. */
import { ByteRing } from './byte-ring.js'
import type { ResolvedLink } from './link-options.js'
import type { MemoryRoute } from './memory-route.js'
import { PieceSizes } from './piece-sizes.js'

/** What travels: bytes, the end of the direction, or the end of the connection. */
interface Packet {
  readonly kind: 'data' | 'fin' | 'rst'
  /** Bytes; of an arrived packet, those that were not read yet. */
  length: number
  /** When its first byte goes on its way. */
  readonly startMs: number
  readonly arrivesAtMs: number
  next: Packet | null
}

/**
 * Carries bytes in order, as the link says. At most `bufferBytes` are between writer and reader:
 * what goes beyond waits with the writer, who is called when a third is free again, as Linux does.
 */
export class MemoryPipe {
  /** Called by the pipe whenever something has arrived. Set by the reading end. */
  onArrival: (() => void) | null = null
  /** Called by the pipe once there is room again, after `wantsRoom`. Set by the writing end. */
  onRoom: (() => void) | null = null
  /** Bytes that have arrived and were not read. */
  readable = 0
  /** Whether the writer's FIN has arrived, behind all its bytes. */
  finArrived = false
  /** Whether a reset has arrived: nothing comes any more. */
  resetArrived = false
  /** Whether bytes may arrive; where they may not, the first ones reset the connection. */
  acceptsBytes = true
  /** The other direction; resets travel on it. */
  reverse: MemoryPipe | null = null
  readonly #route: MemoryRoute
  readonly #link: ResolvedLink
  /** Who writes to whom, for the trace. */
  readonly #name: string
  readonly #sizes: PieceSizes
  readonly #packetBytes: number
  readonly #ring = new ByteRing()
  #flightHead: Packet | null = null
  #flightTail: Packet | null = null
  #arrivedHead: Packet | null = null
  #arrivedTail: Packet | null = null
  /** When the link has sent everything that was written so far. */
  #sentAtMs = 0
  #finished = false
  #resetSent = false
  #readerClosed = false
  #roomWanted = false
  #roomScheduled = false
  #bytesUntilReset: number

  constructor(route: MemoryRoute, name: string, bytesUntilReset: number) {
    const { link, world } = route
    this.#route = route
    this.#link = link
    this.#name = name
    this.#sizes = new PieceSizes(link.split, world.random)
    this.#bytesUntilReset = bytesUntilReset
    this.#packetBytes = packetBytesOf(link.bytesPerSecond)
  }

  // The writing end

  /** How many bytes can be written now. */
  get room(): number {
    return this.#link.bufferBytes - this.#ring.length
  }

  /** Copies bytes, at most `room`, into the pipe; `commit` sends them. */
  append(data: string | Uint8Array, from: number, to: number): void {
    // What comes behind a reset is lost; a writer that was cut off does not know of it yet.
    if (!this.#resetSent) this.#ring.append(data, from, to)
  }

  /** Sends the last `length` bytes that were appended, as one write. */
  commit(length: number): void {
    if (this.#resetSent) return
    const { latencyMs, bytesPerSecond } = this.#link
    const nowMs = this.#route.world.clock.nowMs()
    if (bytesPerSecond === Infinity) {
      this.#send('data', length, nowMs, nowMs + latencyMs)
      return
    }
    for (let left = length; left > 0; left -= this.#packetBytes) {
      const bytes = Math.min(left, this.#packetBytes)
      const startMs = Math.max(nowMs, this.#sentAtMs)
      this.#sentAtMs = startMs + (bytes * 1000) / bytesPerSecond
      this.#send('data', bytes, startMs, this.#sentAtMs + latencyMs)
    }
  }

  /** Calls `onRoom` once a third of the pipe is free. */
  wantRoom(): void {
    this.#roomWanted = true
  }

  /** Sends FIN behind what was written. Nothing can be written after it. */
  finish(): void {
    if (this.#finished || this.#resetSent) return
    this.#finished = true
    const nowMs = Math.max(this.#route.world.clock.nowMs(), this.#sentAtMs)
    this.#send('fin', 0, nowMs, nowMs + this.#link.latencyMs)
  }

  /** Sends RST: bytes that are not on their way yet are lost. */
  reset(): void {
    if (this.#resetSent) return
    this.#resetSent = true
    const nowMs = this.#route.world.clock.nowMs()
    this.#dropUnsent(nowMs)
    const arrivesAtMs = Math.max(nowMs + this.#link.latencyMs, this.#flightTail?.arrivesAtMs ?? 0)
    this.#send('rst', 0, nowMs, arrivesAtMs)
  }

  // The reading end

  /** The size of the next piece to read; only when there is something `readable`. */
  nextPiece(): number {
    return this.#sizes.next(this.#arrivedHead!.length, this.readable)
  }

  /** Moves the first `length` bytes that have arrived to the start of `target`. */
  read(target: Buffer, length: number): void {
    this.#ring.read(target, length)
    this.readable -= length
    for (let left = length; left > 0;) {
      const packet = this.#arrivedHead!
      if (packet.length > left) {
        packet.length -= left
        break
      }
      left -= packet.length
      this.#arrivedHead = packet.next
    }
    if (this.#roomWanted) this.#announceRoom()
  }

  /** The reader is gone. What it has not read, and what still comes, is answered with a reset. */
  closeReader(): void {
    this.#readerClosed = true
    this.onArrival = null
    if (this.readable > 0) {
      this.#ring.skip(this.readable)
      this.readable = 0
      this.#arrivedHead = null
      if (!this.resetArrived) this.reverse?.reset()
    }
  }

  /** Resets both ends once `bytes` more have arrived. */
  resetAfter(bytes: number): void {
    this.#bytesUntilReset = bytes
  }

  // In between

  #send(kind: Packet['kind'], length: number, startMs: number, arrivesAtMs: number): void {
    const packet: Packet = { kind, length, startMs, arrivesAtMs, next: null }
    const tail = this.#flightTail
    this.#flightTail = packet
    if (tail === null) {
      this.#flightHead = packet
      this.#waitForArrival(packet)
    } else tail.next = packet
  }

  #waitForArrival(packet: Packet): void {
    const { clock } = this.#route.world
    clock.schedule(packet.arrivesAtMs - clock.nowMs(), this.#arrive)
  }

  /** One call at a time is scheduled, for the first packet; so nothing is ever overtaken. */
  readonly #arrive = (): void => {
    const packet = this.#flightHead
    if (packet === null) return
    if (this.#route.isPartitioned) {
      this.#route.hold(this.#arrive)
      return
    }
    this.#flightHead = packet.next
    if (packet.next === null) this.#flightTail = null
    else this.#waitForArrival(packet.next)
    packet.next = null
    if (packet.kind === 'data') this.#dataArrives(packet)
    else this.#endArrives(packet.kind)
  }

  #dataArrives(packet: Packet): void {
    const { trace } = this.#route.world
    const bytesUntilReset = this.acceptsBytes ? this.#bytesUntilReset : 0
    if (packet.length >= bytesUntilReset) {
      this.#breakAt(packet, bytesUntilReset)
      return
    }
    this.#bytesUntilReset -= packet.length
    if (trace !== null) this.#traceData(packet.length, trace)
    if (this.#readerClosed) {
      this.#ring.skip(packet.length)
      this.reverse?.reset()
      return
    }
    this.#keep(packet)
    this.onArrival?.()
  }

  #endArrives(kind: 'fin' | 'rst'): void {
    this.#route.world.trace?.(`${kind} ${this.#name}`)
    if (kind === 'fin') this.finArrived = true
    else this.resetArrived = true
    this.onArrival?.()
  }

  #keep(packet: Packet): void {
    if (this.#arrivedHead === null) this.#arrivedHead = packet
    else this.#arrivedTail!.next = packet
    this.#arrivedTail = packet
    this.readable += packet.length
  }

  /** The byte has come after which the connection is to break. */
  #breakAt(packet: Packet, length: number): void {
    packet.length = length
    this.#ring.truncate(this.readable + packet.length)
    this.#flightHead = null
    this.#flightTail = null
    this.#resetSent = true
    const { trace } = this.#route.world
    if (trace !== null && length > 0) this.#traceData(length, trace)
    if (!this.#readerClosed && length > 0) this.#keep(packet)
    this.reverse?.reset()
    this.#endArrives('rst')
  }

  /** A packet whose time has not come is still with the writer, and so are all behind it. */
  #dropUnsent(nowMs: number): void {
    let last: Packet | null = null
    let kept = this.readable
    for (let packet = this.#flightHead; packet !== null; packet = packet.next) {
      if (packet.startMs > nowMs) break
      kept += packet.length
      last = packet
    }
    if (last === null) {
      // Nothing is on its way; the call that waits for the first packet finds the reset instead.
      this.#flightHead = null
    } else last.next = null
    this.#flightTail = last
    this.#ring.truncate(kept)
  }

  #announceRoom(): void {
    if (this.#roomScheduled || this.room * 3 < this.#link.bufferBytes) return
    this.#roomScheduled = true
    this.#route.world.clock.schedule(this.#link.latencyMs, this.#tellRoom)
  }

  readonly #tellRoom = (): void => {
    if (this.#route.isPartitioned) {
      this.#route.hold(this.#tellRoom)
      return
    }
    this.#roomScheduled = false
    this.#roomWanted = false
    this.onRoom?.()
  }

  #traceData(length: number, trace: (line: string) => void): void {
    const sum = this.#ring.checksum(this.readable, length)
    const hex = `${HEX[sum >>> 24]!}${HEX[(sum >>> 16) & 255]!}${HEX[(sum >>> 8) & 255]!}${HEX[sum & 255]!}`
    trace(`data ${this.#name} ${length} bytes ${hex}`)
  }
}

/** A slow link carries packets of the usual size, a fast one as many bytes at once as 1 ms takes. */
function packetBytesOf(bytesPerSecond: number): number {
  return Math.min(Math.max(1460, Math.ceil(bytesPerSecond / 1000)), 64 * 1024)
}

/** Each byte as two digits: `toString(16)` of a large number takes longer than all the rest. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)
