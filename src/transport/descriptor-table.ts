/** `DescriptorTable`: which descriptors a thread has open, for the thread that outlives it. */
import type { Libc, MappedRange, Sockets } from '../os/internal.js'

/**
 * Descriptors belong to the process: when a thread ends in the middle of its work, its sockets stay
 * open and their peers would wait for ever. So each thread besides the main one notes in shared memory
 * what it has, and the main thread closes what is left. With each descriptor stands the cookie of its
 * socket: the number alone may be another socket's by then.
 */
export class DescriptorTable {
  /** The memory, to be given to the other thread. */
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array
  /** The descriptor of the rings, the number of ranges, and address and length of each. */
  readonly #remains: Float64Array

  /** @param memory of a table made in another thread. Default: new. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(TABLE_BYTES)) {
    this.memory = memory
    this.#remains = new Float64Array(memory, 0, REMAINS_NUMBERS)
    this.#words = new Int32Array(memory, REMAINS_NUMBERS * 8)
  }

  /** Notes the descriptor of the thread's rings. */
  setRing(fd: number): void {
    this.#remains[0] = fd
  }

  /** Notes memory that is mapped for the kernel; beyond {@link MAX_RANGES} nothing is noted. */
  addRange({ address, length }: MappedRange): void {
    const count = this.#remains[1]!
    if (count === MAX_RANGES) return
    this.#remains.set([address, length], 2 + count * 2)
    this.#remains[1] = count + 1
  }

  /** Notes that `fd` is open; beyond {@link MAX_DESCRIPTORS} slots nothing is noted. */
  add(slot: number, fd: number, sockets: Sockets): void {
    if (slot >= MAX_DESCRIPTORS) return
    this.#words.set([fd, ...sockets.cookie(fd)], slot * 3)
  }

  /** Notes that the descriptor in `slot` is closed. */
  remove(slot: number): void {
    if (slot < MAX_DESCRIPTORS) this.#words[slot * 3] = 0
  }

  /**
   * Closes what a thread that has ended has left open. Returns the number of its connections.
   * @param kept is left open: the thread ended while it took it over.
   */
  closeAll(libc: Libc, sockets: Sockets, kept: ReadonlySet<number>): number {
    let connections = 0
    for (let at = 0; at < MAX_DESCRIPTORS * 3; at += 3) {
      const fd = this.#words[at]!
      if (fd === 0) continue
      this.#words[at] = 0
      if (kept.has(fd)) continue
      const [low, high] = sockets.cookie(fd)
      if (low !== this.#words[at + 1] || high !== this.#words[at + 2]) continue
      if (!sockets.isListening(fd)) connections++
      sockets.close(fd)
    }
    this.#discardRing(libc)
    return connections
  }

  /** Only now: a closed ring writes nothing any more. */
  #discardRing(libc: Libc): void {
    const [fd = 0, count = 0] = this.#remains
    if (fd > 0) libc.close(fd)
    for (let range = 0; range < count; range++) {
      libc.munmap(this.#remains[2 + range * 2]!, this.#remains[3 + range * 2]!)
    }
    this.#remains.fill(0)
  }
}

/** Connections of one thread that are noted; unused memory costs nothing. */
const MAX_DESCRIPTORS = 65_536
/** Two of the rings, and a thousand of a mebibyte each. */
const MAX_RANGES = 1_026
const REMAINS_NUMBERS = 2 + MAX_RANGES * 2
const TABLE_BYTES = REMAINS_NUMBERS * 8 + MAX_DESCRIPTORS * 3 * 4
