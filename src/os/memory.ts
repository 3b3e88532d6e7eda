/** `Memory`: bytes that stay where they are, so that the kernel may be told their address. */
import type { Libc } from './libc.js'

/**
 * Bytes with an address. V8 keeps small typed arrays on its own heap, where a collection moves
 * them; these are never there. Whoever gives the address away keeps the object until it is used up.
 */
export class Memory {
  readonly bytes: Buffer
  readonly address: number

  constructor(libc: Libc, length: number) {
    this.bytes = Buffer.from(new ArrayBuffer(length))
    this.address = libc.addressOf(this.bytes)
  }
}
