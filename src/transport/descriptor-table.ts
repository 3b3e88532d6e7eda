/** `DescriptorTable`: which descriptors a thread has open, for the thread that outlives it. */
import { IoUring } from '../os/internal.js'
import type { Libc, RingRemains, Sockets } from '../os/internal.js'

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
  readonly #remains: Float64Array

  /** @param memory of a table made in another thread. Default: new. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(TABLE_BYTES)) {
    this.memory = memory
    this.#remains = new Float64Array(memory, 0, REMAINS_NUMBERS)
    this.#words = new Int32Array(memory, REMAINS_NUMBERS * 8)
  }

  /** Notes the thread's rings. */
  setRing({ fd, maps }: RingRemains): void {
    const numbers = maps.flatMap(({ address, length }) => [address, length])
    this.#remains.set([fd, ...numbers])
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

  /** Closes what a thread that has ended has left open. Returns the number of its connections. */
  closeAll(libc: Libc, sockets: Sockets): number {
    let closed = 0
    for (let at = 0; at < MAX_DESCRIPTORS * 3; at += 3) {
      const fd = this.#words[at]!
      if (fd === 0) continue
      this.#words[at] = 0
      const [low, high] = sockets.cookie(fd)
      if (low !== this.#words[at + 1] || high !== this.#words[at + 2]) continue
      sockets.close(fd)
      closed++
    }
    this.#discardRing(libc)
    return closed
  }

  #discardRing(libc: Libc): void {
    const [fd = 0, ringAddress = 0, ringLength = 0, entriesAddress = 0, entriesLength = 0] =
      this.#remains
    this.#remains.fill(0)
    if (fd === 0) return
    const maps = [
      { address: ringAddress, length: ringLength },
      { address: entriesAddress, length: entriesLength },
    ]
    IoUring.discard(libc, { fd, maps })
  }
}

/** Connections of one thread that are noted; unused memory costs nothing. */
const MAX_DESCRIPTORS = 65_536
/** The descriptor of the rings, and address and length of each of their two mappings. */
const REMAINS_NUMBERS = 6
const TABLE_BYTES = REMAINS_NUMBERS * 8 + MAX_DESCRIPTORS * 3 * 4
