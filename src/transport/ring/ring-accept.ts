/** `RingAccept`: accepts connections on one listening descriptor. */
import { constants } from 'node:os'
import { IoUring } from '../../os/internal.js'
import type { Clock, Timer } from '../../time/index.js'
import type { AcceptingSocket } from '../descriptor-network.js'
import { statusError } from '../node/tcp-binding.js'
import type { RingLoop, RingUser } from './ring-loop.js'

/** Who is told of what comes. */
export interface RingAcceptOwner {
  /** A connection, as its descriptor. Must not throw. */
  readonly onAccepted: (fd: number) => void
  /** Accepting failed; told once until it has worked again. */
  readonly onError: (error: Error) => void
}

/**
 * Accepts until it is closed. On a shared socket it waits anew for each connection, behind the
 * threads that wait already: one that goes on waiting would stay the first of them. Where the kernel
 * cannot give a descriptor (EMFILE and its like) it pauses for a second, in which clients wait in the
 * kernel's queue.
 *
 * Of those that wait on one socket the kernel wakes one for each client, be it a process that is
 * being killed or a thread that stands still. So that such a client does not wait for the next one to
 * come, the accept begins anew each second, which looks into the queue.
 */
export class RingAccept implements RingUser {
  readonly #loop: RingLoop
  readonly #clock: Clock
  readonly #fd: number
  readonly #slot: number
  readonly #isShared: boolean
  readonly #owner: RingAcceptOwner
  #isClosing = false
  #isAccepting = false
  #isPaused = false
  #renewal: Timer
  /** The owner knows of a failure. */
  #hasFailed = false
  #fdClosed = false
  readonly #closed: Promise<void>
  #resolveClosed!: () => void

  constructor(
    loop: RingLoop,
    clock: Clock,
    { fd, isShared = false }: Pick<AcceptingSocket, 'fd' | 'isShared'>,
    owner: RingAcceptOwner,
  ) {
    this.#loop = loop
    this.#clock = clock
    this.#fd = fd
    this.#isShared = isShared
    this.#owner = owner
    this.#slot = loop.join(this, fd)
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#renewal = this.#renewLater()
    this.#accept()
  }

  /** Stops accepting. What was accepted by then is given away before the promise resolves. */
  close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      this.#renewal.cancel()
      const { ring } = this.#loop
      this.#cancel()
      ring.close(this.#slot, CLOSED, this.#fd)
      // At once: whoever closes a listener may say right after that it is closed.
      ring.enter()
      this.#loop.wake()
    }
    return this.#closed
  }

  completed(kind: number, result: number, flags: number): void {
    if (kind === CLOSED) this.#fdClosed = true
    else {
      if (IoUring.isLast(flags)) this.#isAccepting = false
      if (result >= 0) this.#accepted(result)
      else if (!this.#isClosing) this.#failed(result)
    }
    if (this.#fdClosed && !this.#isAccepting) {
      this.#loop.leave(this.#slot)
      this.#resolveClosed()
    } else this.#accept()
  }

  #accept(): void {
    if (this.#isAccepting || this.#isClosing || this.#isPaused) return
    this.#isAccepting = true
    this.#loop.ring.accept(this.#slot, ACCEPTED, this.#fd, this.#isShared)
    this.#loop.wake()
  }

  #cancel(): void {
    const { ring } = this.#loop
    // A connection that this accept was woken for would wake no other thread or process any more.
    ring.enter()
    if (this.#isAccepting) ring.cancel(this.#fd)
  }

  #renewLater(): Timer {
    return this.#clock.schedule(RENEWAL_MS, () => {
      this.#renewal = this.#renewLater()
      this.#cancel()
      this.#loop.wake()
    })
  }

  #accepted(fd: number): void {
    this.#hasFailed = false
    this.#owner.onAccepted(fd)
  }

  #failed(status: number): void {
    // A client that left before its turn is no failure of ours, nor is a renewal.
    if (PASSING.includes(status)) return
    this.#isPaused = true
    if (!this.#hasFailed) this.#owner.onError(statusError(status, 'accept'))
    this.#hasFailed = true
    this.#clock.schedule(PAUSE_MS, () => {
      this.#isPaused = false
      this.#accept()
    })
  }
}

const ACCEPTED = 0
const CLOSED = 1
/** How long a client waits at most whose wake-up went to somebody who does not accept. */
const RENEWAL_MS = 1_000
/** How long nothing is accepted when there was no descriptor. */
const PAUSE_MS = 1_000
const { ECANCELED, ECONNABORTED, EINTR, EAGAIN } = constants.errno
const PASSING: readonly number[] = [-ECANCELED, -ECONNABORTED, -EINTR, -EAGAIN]
