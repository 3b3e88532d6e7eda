/** `ConnectionFilter`: decides which clients may connect, before anything but a PROXY header is read. */
import { IpSet } from '../collections/index.js'
import type { ConnectionDigest } from './digest.js'

/** Decides about connections. */
export interface ConnectionFilter {
  /**
   * Whether a client may stay. Asked once for each connection, after its PROXY header, if the listener
   * wants one, and before TLS. On no the connection is closed without an answer. A promise must
   * settle within the time-out for heads; what throws or rejects is a no.
   * @param client who it is; see `peerIp`, which is empty for the client of a unix socket.
   */
  shouldAccept(client: ConnectionDigest): boolean | Promise<boolean>
}

/** Lists of an {@link AddressFilter}: addresses, networks such as `10.0.0.0/8`, and `unix:` for unix sockets. */
export interface AddressFilterOptions {
  /** Who may connect. Default: everybody. */
  readonly allow?: readonly string[]
  /** Who may not, also when allowed. Default: nobody. */
  readonly deny?: readonly string[]
}

/** Decides by lists of networks. O(log n) in their number. */
export class AddressFilter implements ConnectionFilter {
  readonly #allow: IpSet | null
  readonly #deny: IpSet

  /** @throws {@link ProxyError} `PGR_OPTION_INVALID` for an entry that is no address or network. */
  constructor({ allow, deny = [] }: AddressFilterOptions) {
    this.#allow = allow === undefined ? null : new IpSet(allow)
    this.#deny = new IpSet(deny)
  }

  shouldAccept({ peerIp }: ConnectionDigest): boolean {
    return !this.#deny.includes(peerIp) && (this.#allow?.includes(peerIp) ?? true)
  }
}
