/** Reads one PROXY protocol header, whole or in pieces. */
import { parseProxyHeader } from './parse-proxy-header.js'
import { MAX_PROXY_HEADER_BYTES } from './proxy-header.js'
import type { ProxyHeader } from './proxy-header.js'

/** Takes the bytes of a connection up to the end of the header that it begins with. */
export class ProxyHeaderReader {
  /** The position after the bytes that the last `read` has taken. */
  next = 0
  #gathered: Buffer = Buffer.alloc(0)

  /** Whether bytes of the header have come. */
  get begun(): boolean {
    return this.#gathered.length > 0
  }

  /**
   * Takes bytes of `buffer[from, to)`; returns the header once its end is there, else `null`; sets
   * `next`. Copies what it keeps, at most {@link MAX_PROXY_HEADER_BYTES}.
   * @throws {@link ProxyError} `PGR_PROXY_HEADER_INVALID`.
   */
  read(buffer: Buffer, from: number, to: number): ProxyHeader | null {
    const before = this.#gathered.length
    const end = Math.min(to, from + MAX_PROXY_HEADER_BYTES - before)
    this.#gathered = Buffer.concat([this.#gathered, buffer.subarray(from, end)])
    const parsed = parseProxyHeader(this.#gathered)
    this.next = parsed === null ? end : from + parsed.length - before
    return parsed?.header ?? null
  }
}
