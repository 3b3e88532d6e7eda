/** HTTP/2 frames as bytes, written and read by hand, for what `node:http2` would not say. */

/** Frame types (RFC 9113 §6). */
export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PUSH_PROMISE = 5
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9
/** Flags. */
export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4

/** What a client says first. */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** One frame. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** The bytes of a frame. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = EMPTY,
): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Numbers of four bytes each. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4)
  return bytes
}

/** Fields without compression (RFC 7541 §6.2.2). */
export function fields(
  pairs: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
): Buffer {
  const list = Array.isArray(pairs) ? (pairs as [string, string][]) : Object.entries(pairs)
  return Buffer.concat(
    list.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  )
}

function literal(text: string): Buffer {
  return Buffer.concat([integer(text.length), Buffer.from(text, 'latin1')])
}

/** RFC 7541 §5.1, in seven bits and what does not fit in them. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** SETTINGS with these values, by their number. */
export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const entries = Object.entries(values).map(([id, value]) => {
    const entry = Buffer.alloc(6)
    entry.writeUInt16BE(Number(id))
    entry.writeUInt32BE(value, 2)
    return entry
  })
  return frame(SETTINGS, 0, 0, Buffer.concat(entries))
}

/** The whole frames in `bytes`, behind the preface if there is one. */
export function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  let at = bytes.subarray(0, PREFACE.length).equals(PREFACE) ? PREFACE.length : 0
  while (at + FRAME_HEAD <= bytes.length) {
    const end = at + FRAME_HEAD + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    const stream = bytes.readUInt32BE(at + 5)
    const payload = bytes.subarray(at + FRAME_HEAD, end)
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, stream, payload })
    at = end
  }
  return frames
}

const EMPTY = new Uint8Array()
const FRAME_HEAD = 9
