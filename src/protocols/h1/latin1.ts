/** Bytes to latin1 text, by the cheapest call there is. */

/** The bytes `[start, end)` as text, one character per byte. Copies. */
export function latin1Text(buffer: Buffer, start: number, end: number): string {
  return latin1Slice.call(buffer, start, end)
}

/** `toString('latin1')` ends in this method of every Node; calling it saves the look-up of the encoding. */
interface SlicingBuffer extends Buffer {
  latin1Slice(this: Buffer, start: number, end: number): string
}
/** Looked up once: each look-up on a buffer passes two prototypes full of methods. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- It is only called with a buffer as `this`.
const { latin1Slice } = Buffer.prototype as SlicingBuffer
