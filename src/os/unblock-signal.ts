/** Lets a signal through that this thread has blocked; one that waits comes at once. */
import { constants } from 'node:os'
import type { Libc } from './libc.js'

/** For the calling thread, and the threads that it starts from here on. */
export function unblockSignal(libc: Libc, signal: NodeJS.Signals): void {
  const bit = constants.signals[signal] - 1
  const signals = Buffer.alloc(SIGNAL_SET_BYTES)
  signals.writeUInt8(1 << (bit % 8), bit >> 3)
  libc.pthreadSigmask(SIG_UNBLOCK, signals, null)
}

/** `sigset_t` of glibc and musl. */
const SIGNAL_SET_BYTES = 128
const SIG_UNBLOCK = 1
