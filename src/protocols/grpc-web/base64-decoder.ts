/** Base64 that comes in pieces, as the body of a `grpc-web-text` request. */
import { ProxyError } from '../../error/index.js'

/**
 * Decodes strict base64 (RFC 4648 §4), wherever its pieces are cut. Padding may stand in its middle:
 * clients encode each message by itself. Holds back at most three characters.
 */
export class Base64Decoder {
  /** The characters of the group in progress, its padding apart. */
  #bits = 0
  #characters = 0
  #pads = 0

  /**
   * The bytes that `piece` completes.
   * @throws {@link ProxyError} `PGR_REQUEST_BODY_INVALID` for what is no base64.
   */
  decode(piece: Uint8Array): Buffer {
    const bytes = Buffer.allocUnsafe(Math.ceil((piece.length + 3) / 4) * 3)
    let length = 0
    for (const character of piece) {
      const value = VALUES[character]!
      if (value === INVALID) throw fault()
      if (value === PAD) {
        if (this.#characters < 2) throw fault()
        this.#pads++
      } else {
        if (this.#pads > 0) throw fault()
        this.#bits = (this.#bits << 6) | value
        this.#characters++
      }
      if (this.#characters + this.#pads === 4) length = this.#endGroup(bytes, length)
    }
    return bytes.subarray(0, length)
  }

  /** Nothing more comes. @throws {@link ProxyError} `PGR_REQUEST_BODY_INVALID` in the middle of a group. */
  end(): void {
    if (this.#characters > 0) throw fault()
  }

  #endGroup(bytes: Buffer, at: number): number {
    const bits = this.#bits << (6 * this.#pads)
    const count = 3 - this.#pads
    bytes[at] = bits >> 16
    if (count > 1) bytes[at + 1] = bits >> 8
    if (count > 2) bytes[at + 2] = bits
    this.#bits = 0
    this.#characters = 0
    this.#pads = 0
    return at + count
  }
}

function fault(): ProxyError {
  return new ProxyError('PGR_REQUEST_BODY_INVALID', 'the body is not base64')
}

const PAD = 64
const INVALID = 255
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/='
/** By character: its value, `PAD` or `INVALID`. */
const VALUES = new Uint8Array(256).fill(INVALID)
for (let value = 0; value < ALPHABET.length; value++) VALUES[ALPHABET.charCodeAt(value)] = value
