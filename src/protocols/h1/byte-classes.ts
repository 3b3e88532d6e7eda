/** Which bytes may stand where in an HTTP/1 head, as tables for one-lookup tests, and looks at bytes. */

export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COLON = 0x3a
export const SEMICOLON = 0x3b

/** 1 for bytes of a token (RFC 9110 §5.6.2). */
const IS_TOKEN: Uint8Array = table((byte) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(char(byte)))

/** 1 for bytes of a field value: TAB, SP, VCHAR and obs-text (RFC 9110 §5.5). */
export const IS_VALUE: Uint8Array = table((b) => b === TAB || (b >= SP && b !== 0x7f))

/** 1 for bytes of a request target. Wider than RFC 3986: what peers send is passed on unchanged. */
const IS_TARGET: Uint8Array = table((b) => b > SP && b !== 0x7f)

/** 1 for bytes of a registered name (RFC 3986 §3.2.2). */
const IS_HOST: Uint8Array = table((byte) => /^[A-Za-z0-9._~!$&'()*+,;=%-]$/.test(char(byte)))

// These loops stand beside their tables because the compiler takes constants of the same file as what
// they are, but loads imported ones again for every byte.

/** After the bytes from `at` on that may stand in a token. */
export function afterToken(buffer: Buffer, at: number): number {
  let end = at
  while (IS_TOKEN[buffer[end]!] === 1) end++
  return end
}

/** After the bytes from `at` on that may stand in a field value. */
export function afterValue(buffer: Buffer, at: number): number {
  let end = at
  while (IS_VALUE[buffer[end]!] === 1) end++
  return end
}

/** After the bytes from `at` on that may stand in a request target. */
export function afterTarget(buffer: Buffer, at: number): number {
  let end = at
  while (IS_TARGET[buffer[end]!] === 1) end++
  return end
}

/** After the bytes of `buffer[at, to)` that may stand in a registered name. */
export function afterRegisteredName(buffer: Buffer, at: number, to: number): number {
  let end = at
  while (end < to && IS_HOST[buffer[end]!] === 1) end++
  return end
}

/** Whether a byte is one of 0 to 9. */
export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Whether the bytes of `buffer` from `at` on are those of `expected`. */
export function bytesAt(buffer: Buffer, at: number, expected: Uint8Array): boolean {
  const { length } = expected
  for (let i = 0; i < length; i++) if (buffer[at + i] !== expected[i]) return false
  return true
}

/** The value of a hexadecimal digit, 255 for other bytes. */
export const HEX_VALUE: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  /^[0-9A-Fa-f]$/.test(char(byte)) ? Number.parseInt(char(byte), 16) : 255,
)

function table(test: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (test(byte) ? 1 : 0))
}

function char(byte: number): string {
  return String.fromCharCode(byte)
}
