/** The body filters of one direction, each of which sees what the one before it has made. */
import type { BodyVerdict } from './http-module.js'

/** One of them. */
export type BodyFilter = (body: Buffer | undefined, endOfStream: boolean) => BodyVerdict | void

/** What goes on after a body filter: its own bytes, nothing, or the piece as it came. */
export function chosen(verdict: BodyVerdict | void, piece: Buffer | null): Buffer | null {
  if (verdict === undefined) return piece
  if (verdict === null || Buffer.isBuffer(verdict)) return verdict
  return Buffer.from(verdict.buffer, verdict.byteOffset, verdict.byteLength)
}

/** What becomes of `piece`; `null`: nothing is left of it. */
export function filterPiece(filters: readonly BodyFilter[], piece: Buffer): Buffer | null {
  let left: Buffer | null = piece
  for (const filter of filters) {
    if (left === null || left.length === 0) return null
    left = chosen(filter(left, false), left)
  }
  return left
}

/** What the filters still had, which their followers have seen; `null`: nothing. */
export function filterEnd(filters: readonly BodyFilter[]): Buffer | null {
  let last: Buffer | null = null
  for (const filter of filters) {
    const before: Buffer | null = last && chosen(filter(last, false), last)
    const own = chosen(filter(undefined, true), null)
    last = before && own ? Buffer.concat([before, own]) : (before ?? own)
  }
  return last
}
