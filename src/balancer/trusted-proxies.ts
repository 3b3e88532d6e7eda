/** Decides whose forwarding fields are believed. */
import { BlockList, isIP } from 'node:net'
import { ProxyError } from '../error/index.js'

/** A set of addresses, networks, and perhaps the clients of unix sockets. */
export class TrustedProxies {
  readonly #networks = new BlockList()
  readonly #unix: boolean

  /**
   * @param entries IP addresses, networks such as `10.0.0.0/8`, and `unix:` for unix sockets.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` for anything else.
   */
  constructor(entries: readonly string[]) {
    this.#unix = entries.includes('unix:')
    for (const entry of entries) {
      if (entry !== 'unix:') this.#add(entry)
    }
  }

  /** @param ip the client's address; empty for the client of a unix socket. */
  includes(ip: string): boolean {
    if (ip === '') return this.#unix
    return this.#networks.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4')
  }

  #add(entry: string): void {
    const [address = '', prefix, ...rest] = entry.split('/')
    const version = isIP(address)
    const bits = prefix === undefined ? undefined : Number(prefix)
    const fits =
      rest.length === 0 &&
      version !== 0 &&
      (prefix === undefined ||
        (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 6 ? 128 : 32)))
    if (!fits) {
      throw new ProxyError(
        'PGR_OPTION_INVALID',
        `${JSON.stringify(entry.slice(0, 60))}: expected an IP address, a network such as 10.0.0.0/8, or unix:`,
      )
    }
    const family = version === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) this.#networks.addAddress(address, family)
    else this.#networks.addSubnet(address, bits, family)
  }
}
