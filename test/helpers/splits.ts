/** Cuts bytes into reads, so that a codec can be shown to give the same result for every cut. */

/** A latin1 string as bytes: one character, one byte. */
export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/**
 * Calls `run` with `input` cut in two at every point (the ends included, so that empty reads come
 * too), and once byte by byte. O(n²) bytes in all: for inputs up to some kilobytes.
 */
export function forEachSplit(
  input: Buffer,
  run: (pieces: readonly Buffer[], how: string) => void,
): void {
  for (let at = 0; at <= input.length; at++) {
    run([input.subarray(0, at), input.subarray(at)], `cut at byte ${at}`)
  }
  run(cutEvery(input, 1), 'byte by byte')
}

/** `input` in pieces of `size` bytes; the last one may be shorter. */
export function cutEvery(input: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < input.length; at += size) pieces.push(input.subarray(at, at + size))
  return pieces
}

/** `input` cut at the given places (any order, repeats make empty pieces, too large ones wrap). */
export function cutAt(input: Buffer, places: readonly number[]): Buffer[] {
  const cuts = places.map((place) => place % (input.length + 1)).sort((a, b) => a - b)
  const pieces: Buffer[] = []
  let from = 0
  for (const to of [...cuts, input.length]) {
    pieces.push(input.subarray(from, to))
    from = to
  }
  return pieces
}
