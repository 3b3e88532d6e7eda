/** Bodies whose every byte depends on who sent them: one that got elsewhere is noticed. */

/** The first `length` bytes of the stream called `name`; always the same ones. */
export function bytesOf(name: string, length: number): Buffer {
  const words = new Int32Array((length + 3) >> 2)
  let state = hash(name)
  for (let index = 0; index < words.length; index++) {
    // Xorshift by Marsaglia: all that is needed is that two streams do not look alike.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[index] = state
  }
  return Buffer.from(words.buffer, 0, length)
}

/** Where two buffers differ first; -1 when they are equal. */
export function firstDifference(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) if (left[index] !== right[index]) return index
  return left.length === right.length ? -1 : length
}

/** FNV-1a; never zero, for xorshift would stay there. */
function hash(name: string): number {
  let value = 0x811c_9dc5
  for (let index = 0; index < name.length; index++) {
    value = Math.imul(value ^ name.charCodeAt(index), 0x0100_0193)
  }
  return value === 0 ? 1 : value
}
