/** Recognises common field names in bytes, so that no string has to be made of them. */
import { lowerCaseName } from '../../http/index.js'
import { COMMON_FIELD_NAMES } from '../../http/internal.js'
import { isNoted } from './head-facts.js'

/** A field name as written and in lower case. */
export interface KnownName {
  readonly name: string
  readonly key: string
  /** Whether `HeadFacts` takes note of such fields. */
  readonly isNoted: boolean
}

/** Takes one more byte into the hash of a name; starts with 0. */
export function hashByte(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}

/** The common name that stands in `buffer[start, end)`, whose hash is `hash`; else `undefined`. */
export function knownName(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
): KnownName | undefined {
  const known = SLOTS[hash & SLOT_MASK]
  if (known?.bytes.length !== end - start) return undefined
  const { bytes } = known
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== buffer[start + i]) return undefined
  }
  return known
}

interface Slot extends KnownName {
  readonly bytes: Uint8Array
}

/** Both usual spellings of each name; where two meet in a slot the later one just stays unknown. */
function makeSlots(mask: number): (Slot | undefined)[] {
  const slots = new Array<Slot | undefined>(mask + 1).fill(undefined)
  for (const common of COMMON_FIELD_NAMES) {
    const key = lowerCaseName(common)
    for (const name of [common, key]) {
      const bytes = Buffer.from(name, 'latin1')
      const index = bytes.reduce(hashByte, 0) & mask
      slots[index] ??= { name, key, bytes, isNoted: isNoted(key) }
    }
  }
  return slots
}

const SLOT_MASK = 0xfff
const SLOTS = makeSlots(SLOT_MASK)
