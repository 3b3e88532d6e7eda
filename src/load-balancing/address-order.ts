/** One spelling and one order for socket addresses, so that sets of backends compare and sort. */
import { isIPv6 } from 'node:net'
import type { SocketAddress } from '../transport/index.js'

/** The same address in its one canonical spelling: IPv6 lower case and shortest (RFC 5952). */
export function canonicalAddress(address: SocketAddress): SocketAddress {
  if (address.kind === 'unix' || !isIPv6(address.host)) return address
  const { digits, zone } = splitZone(address.host)
  // The URL parser writes every IPv6 address in one form; a mapped IPv4 address becomes groups.
  const host = new URL(`http://[${digits}]`).hostname.slice(1, -1) + zone
  return { kind: 'ip', host, port: address.port }
}

/**
 * A text that sorts as the address does: IPv4 by number, then IPv6 by number, each then by port;
 * unix paths come last, by text. Takes an address in canonical spelling.
 */
export function addressSortKey(address: SocketAddress): string {
  if (address.kind === 'unix') return `u${address.path}`
  const port = hex(address.port)
  if (!isIPv6(address.host)) {
    const bytes = address.host.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
    return `4${bytes.join('')}${port}`
  }
  const { digits, zone } = splitZone(address.host)
  return `6${ipv6Groups(digits).join('')}${zone}${port}`
}

/** The eight groups of a canonical IPv6 address, four hexadecimal digits each. */
function ipv6Groups(digits: string): string[] {
  const [before = '', after] = digits.split('::')
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  const zeros = new Array<string>(8 - head.length - tail.length).fill('0')
  return [...head, ...zeros, ...tail].map((group) => group.padStart(4, '0'))
}

/** Cuts off the zone of a link-local address, such as `%eth0`. */
function splitZone(host: string): { readonly digits: string; readonly zone: string } {
  const at = host.indexOf('%')
  return at < 0 ? { digits: host, zone: '' } : { digits: host.slice(0, at), zone: host.slice(at) }
}

function hex(port: number): string {
  return port.toString(16).padStart(4, '0')
}
