/** `LinkOptions`: how bytes travel to one listening address of the memory network, and back. */
import { ProxyError, intInRange } from '../../error/index.js'

/**
 * In which pieces a reader is given what has arrived. `whole`: one write is one piece. `bytes`: one
 * byte at a time. `random`: drawn from the network's chance, mostly 1 to 3 bytes or all there is.
 * Numbers: sizes in turn, the last one again and again. But for `whole`, a piece may span writes.
 */
export type LinkSplit = 'whole' | 'bytes' | 'random' | readonly number[]

/** What a link is like; the same in both directions. */
export interface LinkOptions {
  /** Time from one end to the other, in ms, 0 or more. Default: 0. */
  readonly latencyMs?: number
  /** How many bytes per second each connection carries in each direction. Default: Infinity. */
  readonly bytesPerSecond?: number
  /** In which pieces a reader is given what has arrived. Default: `whole`. */
  readonly split?: LinkSplit
  /** Bytes that are held between writer and reader, per direction, 1 to 2^30. Default: 65536. */
  readonly bufferBytes?: number
  /** Resets each connection once so many bytes have arrived in a direction. Default: never. */
  readonly resetAfterBytes?: {
    /** Bytes from who dialled to who listens, 0 or more. Default: Infinity. */
    readonly toListener?: number
    /** Bytes from who listens to who dialled, 0 or more. Default: Infinity. */
    readonly toDialler?: number
  }
}

/** {@link LinkOptions} with nothing left open. */
export interface ResolvedLink {
  /** One way, in ms. */
  readonly latencyMs: number
  /** Per direction. */
  readonly bytesPerSecond: number
  /** Sizes of the pieces in which bytes are told. */
  readonly split: LinkSplit
  /** Bytes on the way and unread, per direction. */
  readonly bufferBytes: number
  /** Bytes per direction after which a connection is reset; `Infinity`: never. */
  readonly resetAfterBytes: { readonly toListener: number; readonly toDialler: number }
}

/** What holds for a link of which nothing is said. */
export const LINK_DEFAULTS: ResolvedLink = Object.freeze({
  latencyMs: 0,
  bytesPerSecond: Infinity,
  split: 'whole',
  bufferBytes: 64 * 1024,
  resetAfterBytes: Object.freeze({ toListener: Infinity, toDialler: Infinity }),
})

/**
 * Fills what `options` leaves open from `defaults`.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` when a value is out of range.
 */
export function resolveLink(
  options: LinkOptions,
  defaults: ResolvedLink = LINK_DEFAULTS,
): ResolvedLink {
  const {
    latencyMs = defaults.latencyMs,
    bytesPerSecond = defaults.bytesPerSecond,
    split = defaults.split,
    bufferBytes = defaults.bufferBytes,
    resetAfterBytes = {},
  } = options
  if (!(latencyMs >= 0 && latencyMs < Infinity)) throw invalid('latencyMs', '0 or more', latencyMs)
  if (!(bytesPerSecond > 0)) throw invalid('bytesPerSecond', 'more than 0', bytesPerSecond)
  intInRange('bufferBytes', bufferBytes, 1, MAX_BUFFER_BYTES)
  const { toListener = defaults.resetAfterBytes.toListener } = resetAfterBytes
  const { toDialler = defaults.resetAfterBytes.toDialler } = resetAfterBytes
  checkSplit(split)
  checkByteCount('resetAfterBytes.toListener', toListener)
  checkByteCount('resetAfterBytes.toDialler', toDialler)
  return Object.freeze({
    latencyMs,
    bytesPerSecond,
    split,
    bufferBytes,
    resetAfterBytes: Object.freeze({ toListener, toDialler }),
  })
}

/**
 * Checks a number of bytes that may be `Infinity`.
 * @throws {@link ProxyError} `PGR_OPTION_INVALID` when it is negative or no integer.
 */
export function checkByteCount(name: string, bytes: number): void {
  if (bytes !== Infinity) intInRange(name, bytes, 0, Number.MAX_SAFE_INTEGER)
}

function checkSplit(split: LinkSplit): void {
  if (typeof split === 'string') return
  if (split.length === 0) throw new ProxyError('PGR_OPTION_INVALID', 'split: at least one size')
  for (const size of split) intInRange('split', size, 1, Number.MAX_SAFE_INTEGER)
}

function invalid(name: string, wanted: string, value: number): ProxyError {
  return new ProxyError('PGR_OPTION_INVALID', `${name}: ${wanted}, got ${value}`)
}

const MAX_BUFFER_BYTES = 2 ** 30
