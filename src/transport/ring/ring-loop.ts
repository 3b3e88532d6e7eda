/** `RingLoop`: drives a thread's io_uring from Node's event loop. */
import { IoUring, Sockets, loadLibc } from '../../os/internal.js'
import type { Libc } from '../../os/internal.js'
import { afterTurn } from '../../time/internal.js'
import type { DescriptorTable } from '../descriptor-table.js'
import { loadPipe } from './event-pipe.js'
import type { EventPipe } from './event-pipe.js'
import { MemoryPool } from './memory-pool.js'
import { TextArena } from './text-arena.js'

/** Who started operations on the ring, and is told how they ended. */
export interface RingUser {
  /** @param kind what the user gave with the operation; {@link IoUring.UNSENT} of a send at once that sent too little. @param result as of the system call, or a negative errno. */
  completed(kind: number, result: number, flags: number): void
}

/** Who has something to hand to the ring at the end of a round. */
export interface RingSender {
  /** Gives the arena the text that leaves now. */
  gather(): void
  /** Puts into the ring what leaves now: the text is in the arena, unless that was full. */
  flush(): void
  /** The kernel has had what was put last, and has told of sends at once that sent too little. */
  settled(): void
}

/**
 * One per thread. A round hands over what has gathered, has the kernel complete what it can, and
 * tells the users. While rounds find something they follow one another, each in a turn of the event
 * loop of its own, so that timers, promises and other sockets get theirs; then the loop rests
 * until the ring's eventfd wakes it. It keeps the process alive as long as it has users.
 */
export class RingLoop {
  readonly libc: Libc
  readonly ring: IoUring
  readonly sockets: Sockets
  /** For text that is handed over. */
  readonly arena: TextArena
  /** For text while it waits: enough for a head and a small body. */
  readonly sendMemory: MemoryPool
  /** For reads: enough for most heads, and little enough for thousands of idle clients. */
  readonly readMemory: MemoryPool
  /** The number of the round: what was handed over in an earlier one and is not complete, waits. */
  round = 0
  readonly #pipe: EventPipe
  readonly #users: (RingUser | null)[] = [NOBODY]
  readonly #freeSlots: number[] = []
  #senders: RingSender[] = []
  /** Those of the round before; empty, to be filled in the next one. */
  #spareSenders: RingSender[] = []
  #table: DescriptorTable | null = null
  #isAwake = false
  #isScheduled = false
  readonly #onTurn = (): void => {
    this.#isScheduled = false
    this.#run()
  }
  #untilHandOver = 0
  readonly #completed = (slot: number, kind: number, result: number, flags: number): void => {
    this.#users[slot]!.completed(kind, result, flags)
    if (--this.#untilHandOver % STRIDE === 0 && this.#untilHandOver >= 0) this.#handOver()
  }

  private constructor(libc: Libc, ring: IoUring, pipe: EventPipe) {
    this.libc = libc
    this.ring = ring
    this.sockets = new Sockets(libc)
    this.arena = new TextArena(libc)
    this.sendMemory = new MemoryPool(libc, 16 * 1024)
    this.readMemory = new MemoryPool(libc, 4 * 1024)
    this.#pipe = pipe
    ring.onUnsent = (slot, result) => {
      this.#users[slot]!.completed(IoUring.UNSENT, result, 0)
    }
    pipe.onWake = () => {
      if (!this.#isScheduled) this.#run()
    }
    pipe.unref()
  }

  /** The loop of this thread, or `null` where there is no io_uring. Made on the first call. */
  static ofThread(): RingLoop | null {
    ofThread ??= { loop: RingLoop.#open() }
    return ofThread.loop
  }

  static #open(): RingLoop | null {
    const libc = loadLibc()
    const ring = libc && IoUring.open(libc)
    if (libc === null || ring === null) return null
    const pipe = loadPipe(ring.eventFd)
    return pipe && new RingLoop(libc, ring, pipe)
  }

  /** Notes from here on which descriptors are open, for the thread that outlives this one. */
  trackIn(table: DescriptorTable): void {
    this.#table = table
    const { fd, maps } = this.ring.remains
    table.setRing(fd)
    for (const range of maps) table.addRange(range)
    for (const pool of [this.readMemory, this.sendMemory]) {
      for (const range of pool.ranges) table.addRange(range)
      pool.onMapped = (range) => {
        table.addRange(range)
      }
    }
  }

  /** A slot for the operations of `user` on `fd`, until {@link leave}. */
  join(user: RingUser, fd: number): number {
    const slot = this.#freeSlots.pop() ?? this.#users.length
    this.#users[slot] = user
    this.#table?.add(slot, fd, this.sockets)
    if (this.#users.length - this.#freeSlots.length === 2) this.#pipe.ref()
    return slot
  }

  /** Gives the slot back; none of its operations may be in progress. */
  leave(slot: number): void {
    this.#users[slot] = null
    this.#table?.remove(slot)
    this.#freeSlots.push(slot)
    if (this.#users.length - this.#freeSlots.length === 1) this.#pipe.unref()
  }

  /** To be called after operations were put into the ring: hands them over soon. */
  wake(): void {
    if (this.#isAwake || this.#isScheduled) return
    this.#isScheduled = true
    this.ring.mute()
    afterTurn(this.#onTurn)
  }

  /** Has `sender` gather and flush before the ring is entered again. Once for each call. */
  addSender(sender: RingSender): void {
    this.#senders.push(sender)
    this.wake()
  }

  #run(): void {
    const { ring } = this
    this.#isAwake = true
    ring.mute()
    let isBusy = true
    try {
      // The second round hands over what the first has caused; what follows from that can wait a turn.
      isBusy = this.#takeRound() && this.#takeRound()
    } finally {
      this.#isAwake = false
      if (isBusy || ring.unmute()) this.wake()
    }
  }

  /** Returns whether there was anything to tell or is anything to hand over. */
  #takeRound(): boolean {
    const { ring } = this
    this.round++
    this.#untilHandOver = MAX_STRIDES * STRIDE
    this.#handOver()
    const count = ring.drain(this.#completed)
    return count > 0 || this.#senders.length > 0 || ring.queued > 0
  }

  #handOver(): void {
    const senders = this.#senders
    for (const sender of senders) sender.gather()
    this.arena.write()
    for (const sender of senders) sender.flush()
    this.ring.enter()
    // What the kernel had no memory for goes with the next round.
    if (this.ring.queued > 0) return
    this.#senders = this.#spareSenders
    this.#spareSenders = senders
    // Setting the length of an array is a slow call, which `pop` is not.
    for (let sender = senders.pop(); sender !== undefined; sender = senders.pop()) sender.settled()
    this.arena.clear()
  }
}

let ofThread: { readonly loop: RingLoop | null } | null = null

/**
 * While many completions are told, what they have caused leaves after each so many: soon enough that
 * the peers have something to do meanwhile, and late enough to share the system call and the
 * processor's caches.
 */
const STRIDE = 256
/** As often within one round: then the event loop gets its turn. */
const MAX_STRIDES = 16

const NOBODY: RingUser = { completed: () => undefined }
