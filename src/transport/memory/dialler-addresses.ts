/** `DiallerAddresses`: the local addresses of those who dial over the memory network. */
import { isIP, isIPv6 } from 'node:net'
import type { SocketAddress } from '../address.js'

/** Hands out addresses: 10.255.0.1 with ports from 49152 up, then 10.255.0.2, and so on. */
export class DiallerAddresses {
  #given = 0

  /**
   * The local address of the next dial to `peer`; without `wanted` one that no dial before had.
   * Returns `null` when `wanted` is no IP address or of another family than the peer's.
   */
  next(peer: SocketAddress, wanted: string | undefined): SocketAddress | null {
    const number = this.#given++
    if (peer.kind === 'unix') return UNNAMED
    const machine = 1 + (Math.floor(number / PORTS) % MACHINES)
    const ownHost = isIPv6(peer.host)
      ? `fd00:ff::${machine.toString(16)}`
      : `10.255.${machine >> 8}.${machine & 255}`
    const host = wanted ?? ownHost
    if (isIP(host) !== isIP(peer.host)) return null
    return { kind: 'ip', host, port: FIRST_PORT + (number % PORTS) }
  }
}

/** Who dials a unix socket has no path of its own. */
const UNNAMED: SocketAddress = Object.freeze({ kind: 'unix', path: '' })
/** Where Linux and IANA put the ports that nobody asked for. */
const FIRST_PORT = 49_152
const PORTS = 65_536 - FIRST_PORT
const MACHINES = 65_535
