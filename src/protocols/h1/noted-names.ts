/** Finds, by their bytes, the few fields that say something about the message or its connection. */
import { NOTED_FIELDS } from './head-facts.js'

/**
 * The lower-case name of the noted field whose name stands in `buffer[start, end)`, in any case;
 * `undefined` for all other fields, mostly by a look at length and first byte alone.
 */
export function notedName(buffer: Buffer, start: number, end: number): string | undefined {
  const length = end - start
  if (length > MAX_LENGTH) return undefined
  const candidate = CANDIDATES[slotOf(length, buffer[start]!)]
  if (candidate === undefined) return undefined
  for (let i = 0; i < length; i++) {
    // Among the bytes of a token this tells letters apart but for their case.
    if ((buffer[start + i]! | 0x20) !== candidate.bytes[i]) return undefined
  }
  return candidate.name
}

interface Candidate {
  readonly name: string
  readonly bytes: Uint8Array
}

function slotOf(length: number, firstByte: number): number {
  return (length << 5) | (firstByte & 0x1f)
}

/** No two noted names agree in length and first letter, so a slot holds at most one. */
function makeCandidates(maxLength: number): (Candidate | undefined)[] {
  const candidates = new Array<Candidate | undefined>((maxLength + 1) << 5).fill(undefined)
  for (const name of NOTED_FIELDS) {
    const bytes = Buffer.from(name, 'latin1')
    candidates[slotOf(bytes.length, bytes[0]!)] = { name, bytes }
  }
  return candidates
}

const MAX_LENGTH = Math.max(...NOTED_FIELDS.map(({ length }) => length))
const CANDIDATES = makeCandidates(MAX_LENGTH)
