/** `IoUring`: many socket operations for one system call, through memory shared with the kernel. */
import type { Libc } from './libc.js'
import type { MappedRange, Memory } from './memory.js'
import { PARAMETER_BYTES, mapRings } from './ring-maps.js'
import type { RingMaps, RingOffsets } from './ring-maps.js'

/** Told of each completion, in the order in which the operations were completed. */
export type Completion = (slot: number, kind: number, result: number, flags: number) => void

/** Told of a send at once that did not send all: how many bytes it sent, or a negative errno. */
export type Unsent = (slot: number, result: number) => void

/**
 * One pair of rings, for one thread (man io_uring(7), and the kernel's io_uring.h for the layouts).
 * An operation is put into the submission ring with the slot and kind that its completion will
 * carry; {@link enter} hands over all that was put and has the kernel complete what it can;
 * {@link drain} tells of what is complete. Memory that an operation names must stay until then.
 *
 * Completions are made only within `enter` (`DEFER_TASKRUN`), which is why the rings are read and
 * written like any memory; an eventfd says from outside that there is something to enter for.
 */
export class IoUring {
  /** The kind of completions of {@link sendAtOnce}; users have the kinds below. */
  static readonly UNSENT: number = 7
  /** Becomes readable when there is a reason to {@link enter}, unless muted. */
  readonly eventFd: number
  readonly #libc: Libc
  readonly #fd: number
  readonly #ring: Int32Array
  readonly #submissions: Int32Array
  readonly #at: RingOffsets
  readonly #maps: RingRemains['maps']
  readonly #submissionMask: number
  readonly #completionMask: number
  /** Told before {@link enter} returns, of every send at once that it handed over and that sent too little. */
  onUnsent: Unsent = () => undefined
  #tail = 0
  #head = 0
  /** Up to here completions were looked at for {@link onUnsent}. */
  #seen = 0
  #queued = 0
  /** Completions that had to make room in the ring: three numbers each, told before those of the ring. */
  #aside: number[] = []
  #asideTold = 0

  private constructor(libc: Libc, fd: number, eventFd: number, maps: RingMaps) {
    this.#libc = libc
    this.#fd = fd
    this.eventFd = eventFd
    this.#ring = maps.ring
    this.#submissions = maps.submissions
    this.#at = maps.at
    this.#maps = [maps.ring, maps.submissions].map((words) => ({
      address: libc.addressOf(new Uint8Array(words.buffer)),
      length: words.byteLength,
    }))
    this.#submissionMask = maps.submissionEntries - 1
    this.#completionMask = maps.completionEntries - 1
    // The kernel looks entries up through an array of indices; ours are always in order.
    for (let i = 0; i < maps.submissionEntries; i++) this.#ring[this.#at.submissionArray + i] = i
  }

  /** The rings, or `null` where the kernel is older than 6.1 or does not allow them. */
  static open(libc: Libc): IoUring | null {
    const parameters = Buffer.from(new ArrayBuffer(PARAMETER_BYTES))
    parameters.writeUInt32LE(SETUP_FLAGS, 8)
    parameters.writeUInt32LE(COMPLETION_ENTRIES, 4)
    const fd = libc.ioUringSetup(SYS_IO_URING_SETUP, SUBMISSION_ENTRIES, parameters)
    if (fd < 0) return null
    const maps = mapRings(libc, fd, parameters)
    const eventFd = maps === null ? -1 : libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    if (maps !== null && eventFd >= 0) {
      const argument = Buffer.from(new ArrayBuffer(4))
      argument.writeInt32LE(eventFd)
      const status = libc.ioUringRegister(SYS_IO_URING_REGISTER, fd, REGISTER_EVENTFD, argument, 1)
      if (status >= 0) return new IoUring(libc, fd, eventFd, maps)
      libc.close(eventFd)
    }
    libc.close(fd)
    return null
  }

  /** What has to be closed and unmapped by another thread, if this one ends without doing so. */
  get remains(): RingRemains {
    return { fd: this.#fd, maps: this.#maps }
  }

  /** Operations put into the ring and not handed over yet. */
  get queued(): number {
    return this.#queued
  }

  /**
   * Receives as many bytes as there are, up to all of `to`. @param waits whether nothing is expected to be there yet: then
   * the kernel does not look first. Result: bytes, 0 at the end, or a negative errno.
   */
  receive(slot: number, kind: number, fd: number, to: Memory, waits: boolean): void {
    const at = this.#put(OP_RECV, slot, kind, fd, to.address, to.bytes.length)
    if (waits) this.#submissions[at]! |= POLL_FIRST
  }

  /** Completes when there is something to receive, the end of the stream and an error included. */
  readable(slot: number, kind: number, fd: number): void {
    const at = this.#put(OP_POLL_ADD, slot, kind, fd, 0, 0)
    this.#submissions[at + WORD_FLAGS] = POLLIN
  }

  /** Sends all of the bytes, waiting as long as it takes. Result: their number, or fewer or a negative errno. */
  send(slot: number, kind: number, fd: number, address: number, length: number): void {
    const at = this.#put(OP_SEND, slot, kind, fd, address, length)
    this.#submissions[at + WORD_FLAGS] = MSG_NOSIGNAL | MSG_WAITALL
  }

  /**
   * Sends what the kernel takes at once, and completes only by {@link onUnsent}: the memory is free after
   * the {@link enter} that hands it over. Half of all operations of a proxy are such sends.
   */
  sendAtOnce(slot: number, fd: number, address: number, length: number): void {
    const at = this.#put(OP_SEND | SKIP_SUCCESS, slot, IoUring.UNSENT, fd, address, length)
    // Together the last two say that anything less than all is a failure, and nothing waits.
    this.#submissions[at + WORD_FLAGS] = MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT
  }

  /**
   * Accepts connections. Result: a descriptor each; see {@link isLast}.
   * @param once only the next one, not again and again.
   */
  accept(slot: number, kind: number, fd: number, once: boolean): void {
    const at = this.#put(OP_ACCEPT, slot, kind, fd, 0, 0)
    if (!once) this.#submissions[at]! |= ACCEPT_MULTISHOT
    this.#submissions[at + WORD_FLAGS] = SOCK_CLOEXEC
  }

  /** Connects to the socket address of `length` bytes. Result: 0 or a negative errno. */
  connect(slot: number, kind: number, fd: number, address: number, length: number): void {
    const at = this.#put(OP_CONNECT, slot, kind, fd, address, 0)
    this.#submissions[at + WORD_OFFSET] = length
  }

  /** Cancels everything that is in progress on `fd`; each of it completes. Its own completion goes to `SLOT_NONE`. */
  cancel(fd: number): void {
    const at = this.#put(OP_ASYNC_CANCEL, SLOT_NONE, 0, fd, 0, 0)
    this.#submissions[at + WORD_FLAGS] = CANCEL_ALL | CANCEL_FD
  }

  /** Closes `fd`, after everything that was put before. */
  close(slot: number, kind: number, fd: number): void {
    this.#put(OP_CLOSE, slot, kind, fd, 0, 0)
  }

  /** Hands over what is queued, and has the kernel complete what it can. Never waits. */
  enter(): void {
    this.#call()
    // What found no room would be looked at for `onUnsent` too late.
    while (this.#hasOverflown && this.#setAside()) this.#call()
    this.#findUnsent()
  }

  #call(): void {
    const { submissionTail, completionHead } = this.#at
    this.#ring[submissionTail] = this.#tail
    this.#ring[completionHead] = this.#head
    const submitted = this.#libc.ioUringEnter(
      SYS_IO_URING_ENTER,
      this.#fd,
      this.#queued,
      0,
      ENTER_GETEVENTS,
      null,
      0,
    )
    // A failure (no memory) leaves all in place for the next time.
    if (submitted > 0) this.#queued -= submitted
  }

  get #hasOverflown(): boolean {
    return (this.#ring[this.#at.submissionFlags]! & SQ_CQ_OVERFLOW) !== 0
  }

  /** Makes room in the completion ring; returns whether there was anything in it. */
  #setAside(): boolean {
    this.#findUnsent()
    const from = this.#head
    while (this.#hasNext) {
      this.#tellNext((slot, kind, result, flags) => {
        this.#aside.push((slot << KIND_BITS) | kind, result, flags)
      })
    }
    return this.#head !== from
  }

  /** Tells of sends that sent too little, and of each but once. */
  #findUnsent(): void {
    const ring = this.#ring
    // Whoever is told may put so much that we enter within, and there look at all that is left here.
    while (this.#seen !== ring[this.#at.completionTail]) {
      const entry = this.#entryAt(this.#seen)
      this.#seen = (this.#seen + 1) | 0
      const userData = ring[entry]!
      if ((userData & KIND_MASK) !== IoUring.UNSENT) continue
      ring[entry] = SLOT_NONE
      this.onUnsent(userData >>> KIND_BITS, ring[entry + 2]!)
    }
  }

  /** Tells `completed` of all completions, also those that come meanwhile. Returns their number. */
  drain(completed: Completion): number {
    let count = 0
    for (; this.#aside.length > 0 || this.#hasNext; count++) {
      if (this.#aside.length > 0) this.#tellAside(completed)
      else this.#tellNext(completed)
    }
    return count
  }

  get #hasNext(): boolean {
    return this.#head !== this.#ring[this.#at.completionTail]
  }

  #tellNext(completed: Completion): void {
    const ring = this.#ring
    const entry = this.#entryAt(this.#head)
    // First: a handler that throws must not be told of the same completion again.
    this.#head = (this.#head + 1) | 0
    const userData = ring[entry]!
    completed(userData >>> KIND_BITS, userData & KIND_MASK, ring[entry + 2]!, ring[entry + 3]!)
  }

  #tellAside(completed: Completion): void {
    const aside = this.#aside
    const [userData, result, flags] = aside.slice(this.#asideTold, this.#asideTold + 3)
    this.#asideTold += 3
    if (this.#asideTold === aside.length) {
      this.#aside = []
      this.#asideTold = 0
    }
    completed(userData! >>> KIND_BITS, userData! & KIND_MASK, result!, flags!)
  }

  #entryAt(position: number): number {
    return this.#at.completions + ((position & this.#completionMask) << 2)
  }

  /** While muted the eventfd stays silent: for who enters by itself anyway. */
  mute(): void {
    Atomics.store(this.#ring, this.#at.completionFlags, CQ_EVENTFD_DISABLED)
  }

  /** Undoes {@link mute}; returns whether something came in the meantime, which nobody was told of. */
  unmute(): boolean {
    const { completionFlags, completionTail, submissionFlags } = this.#at
    Atomics.store(this.#ring, completionFlags, 0)
    const waits = Atomics.load(this.#ring, submissionFlags) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)
    return waits !== 0 || Atomics.load(this.#ring, completionTail) !== this.#head
  }

  #put(
    operation: number,
    slot: number,
    kind: number,
    fd: number,
    address: number,
    length: number,
  ): number {
    // Full: what is there is handed over first, which makes room unless the kernel is out of memory.
    if (this.#queued > this.#submissionMask) this.enter()
    if (this.#queued > this.#submissionMask) throw new Error('io_uring: the kernel takes nothing')
    const entry = this.#submissions
    const at = (this.#tail & this.#submissionMask) << 4
    this.#tail = (this.#tail + 1) | 0
    this.#queued++
    entry[at] = operation
    entry[at + WORD_FD] = fd
    entry[at + WORD_OFFSET] = 0
    entry[at + WORD_OFFSET + 1] = 0
    entry[at + WORD_ADDRESS] = address | 0
    entry[at + WORD_ADDRESS + 1] = (address / 0x1_0000_0000) | 0
    entry[at + WORD_LENGTH] = length
    entry[at + WORD_FLAGS] = 0
    entry[at + WORD_USER_DATA] = (slot << KIND_BITS) | kind
    // What stands behind it is written by nobody and has been zero from the start.
    return at
  }

  /** Whether the operation is over with this completion; an accept of more than one goes on. */
  static isLast(flags: number): boolean {
    return (flags & CQE_MORE) === 0
  }

  /** Whether more bytes wait on the socket that was received from. */
  static hasMore(flags: number): boolean {
    return (flags & CQE_SOCKET_NONEMPTY) !== 0
  }
}

/** The descriptor and the mapped memory of rings. */
export interface RingRemains {
  readonly fd: number
  readonly maps: readonly MappedRange[]
}

/** The slot of completions that nobody waits for. */
const SLOT_NONE = 0

const KIND_BITS = 3
const KIND_MASK = 7
/** As many as leave with one call at the most; more are handed over in between. */
const SUBMISSION_ENTRIES = 1024
/** More completions than this wait in the kernel. */
const COMPLETION_ENTRIES = 8192

const SYS_IO_URING_SETUP = 425
const SYS_IO_URING_ENTER = 426
const SYS_IO_URING_REGISTER = 427
const REGISTER_EVENTFD = 4
const ENTER_GETEVENTS = 1
const SQ_CQ_OVERFLOW = 1 << 1
const SQ_TASKRUN = 1 << 2
const CQ_EVENTFD_DISABLED = 1
const CQE_MORE = 1 << 1
const CQE_SOCKET_NONEMPTY = 1 << 2
/** CQSIZE, SUBMIT_ALL, TASKRUN_FLAG, SINGLE_ISSUER, DEFER_TASKRUN. */
const SETUP_FLAGS = (1 << 3) | (1 << 7) | (1 << 9) | (1 << 12) | (1 << 13)

const OP_POLL_ADD = 6
const OP_ACCEPT = 13
const OP_ASYNC_CANCEL = 14
const OP_CONNECT = 16
const OP_CLOSE = 19
const OP_SEND = 26
const OP_RECV = 27
/** Flags of an operation stand in the second byte of the first word: no completion where all went well. */
const SKIP_SUCCESS = 1 << (8 + 6)
/** Flags of receive and accept stand in the upper half of the first word. */
const POLL_FIRST = 1 << 16
const ACCEPT_MULTISHOT = 1 << 16
const CANCEL_ALL = 1
const CANCEL_FD = 2

/** Words of a submission entry. */
const WORD_FD = 1
const WORD_OFFSET = 2
const WORD_ADDRESS = 4
const WORD_LENGTH = 6
const WORD_FLAGS = 7
const WORD_USER_DATA = 8

const POLLIN = 1
const MSG_DONTWAIT = 0x40
const MSG_WAITALL = 0x100
const MSG_NOSIGNAL = 0x4000
const SOCK_CLOEXEC = 0o2000000
const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000
