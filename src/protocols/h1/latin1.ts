/** Bytes to latin1 text, by the cheapest call there is. */

/** The bytes `[start, end)` as text, one character per byte. Copies. */
export function latin1Text(buffer: Buffer, start: number, end: number): string {
  return (buffer as SlicingBuffer).latin1Slice(start, end)
}

/** `toString('latin1')` ends in this method of every Node; calling it saves the look-up of the encoding. */
interface SlicingBuffer extends Buffer {
  latin1Slice(start: number, end: number): string
}
