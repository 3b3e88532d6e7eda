/** Maps the memory that an io_uring shares with the kernel, and finds its parts (the kernel's io_uring.h). */
import type { Libc } from './libc.js'

/** Where things are, as indices into 32-bit words. */
export interface RingOffsets {
  readonly submissionTail: number
  readonly submissionFlags: number
  readonly submissionArray: number
  readonly completionHead: number
  readonly completionTail: number
  readonly completionFlags: number
  readonly completions: number
}

/** Both rings as the kernel and we share them. */
export interface RingMaps {
  readonly ring: Int32Array
  readonly submissions: Int32Array
  readonly submissionEntries: number
  readonly completionEntries: number
  readonly at: RingOffsets
}

/** Maps both rings, which share one mapping on every kernel that is new enough, and the entries. */
export function mapRings(libc: Libc, fd: number, parameters: Buffer): RingMaps | null {
  const word = (offset: number): number => parameters.readUInt32LE(offset)
  const [submissionEntries, completionEntries] = [word(0), word(4)]
  const [submission, completion] = [SUBMISSION_OFFSETS, COMPLETION_OFFSETS]
  const arrayEnd = word(submission + 24) + submissionEntries * 4
  const completionsEnd = word(completion + 20) + completionEntries * 16
  const ring = mapWords(libc, fd, Math.max(arrayEnd, completionsEnd), 0)
  const submissions = mapWords(libc, fd, submissionEntries * 64, OFFSET_OF_ENTRIES)
  if (ring === null || submissions === null) return null
  const at = {
    submissionTail: word(submission + 4) >> 2,
    submissionFlags: word(submission + 16) >> 2,
    submissionArray: word(submission + 24) >> 2,
    completionHead: word(completion) >> 2,
    completionTail: word(completion + 4) >> 2,
    completionFlags: word(completion + 24) >> 2,
    completions: word(completion + 20) >> 2,
  }
  return { ring, submissions, submissionEntries, completionEntries, at }
}

function mapWords(libc: Libc, fd: number, length: number, offset: number): Int32Array | null {
  try {
    const pointer = libc.mmap(null, length, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset)
    return new Int32Array(libc.viewOf(pointer, length))
  } catch {
    return null
  }
}

/** The size of the parameters of the set-up, from which the kernel's answer is read. */
export const PARAMETER_BYTES = 120
const SUBMISSION_OFFSETS = 40
const COMPLETION_OFFSETS = 80
const OFFSET_OF_ENTRIES = 0x1000_0000
const PROT_READ_WRITE = 3
const MAP_SHARED_POPULATE = 0x8001
