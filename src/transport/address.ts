/** Socket addresses: IPv4, IPv6 and unix paths, as text and as parts. */
import { isIP, isIPv6 } from 'node:net'
import { ProxyError } from '../error/index.js'

/** An IP address with a port, or the path of a unix socket. */
export type SocketAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** A host name or IP address with a port, or a unix path, before names are resolved. */
export type HostAddress =
  SocketAddress | { readonly kind: 'name'; readonly host: string; readonly port: number }

/**
 * Reads `1.2.3.4:80`, `[::1]:80` or `unix:/path`.
 * @throws {@link ProxyError} `PGR_ADDRESS_INVALID` for anything else, host names included.
 */
export function parseSocketAddress(text: string): SocketAddress {
  const address = parseHostAddress(text)
  if (address.kind === 'name') {
    throw new ProxyError(
      'PGR_ADDRESS_INVALID',
      `${quoted(text)}: an IP address is needed, not a name`,
    )
  }
  return address
}

/**
 * Reads what {@link parseSocketAddress} reads, and `name:port`.
 * @throws {@link ProxyError} `PGR_ADDRESS_INVALID`, with what would be right.
 */
export function parseHostAddress(text: string): HostAddress {
  if (text.startsWith('unix:')) return unixAddress(text)
  const colon = text.lastIndexOf(':')
  const hostText = text.slice(0, Math.max(0, colon))
  const portText = text.slice(colon + 1)
  if (colon <= 0 || !/^\d{1,5}$/.test(portText) || Number(portText) > 65535) {
    throw new ProxyError('PGR_ADDRESS_INVALID', `${quoted(text)}: expected HOST:PORT or unix:/PATH`)
  }
  const port = Number(portText)
  const bracketed = /^\[(.*)\]$/.exec(hostText)
  if (bracketed) {
    const host = bracketed[1] ?? ''
    if (isIPv6(host)) return { kind: 'ip', host, port }
    throw new ProxyError('PGR_ADDRESS_INVALID', `${quoted(text)}: not an IPv6 address in brackets`)
  }
  if (hostText.includes(':')) {
    throw new ProxyError(
      'PGR_ADDRESS_INVALID',
      `${quoted(text)}: write IPv6 as [${hostText}]:${portText}`,
    )
  }
  if (isIP(hostText) === 4) return { kind: 'ip', host: hostText, port }
  // A name of digits and dots alone is a mistyped IPv4 address (the top-level label has a letter).
  if (!HOST_NAME.test(hostText) || /^[\d.]+$/.test(hostText)) {
    throw new ProxyError('PGR_ADDRESS_INVALID', `${quoted(text)}: not a host name or IP address`)
  }
  return { kind: 'name', host: hostText, port }
}

/** The text form that {@link parseSocketAddress} reads. */
export function formatAddress(address: HostAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = isIPv6(address.host) ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}

function unixAddress(text: string): SocketAddress {
  const path = text.slice('unix:'.length)
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES) {
    throw new ProxyError(
      'PGR_ADDRESS_INVALID',
      `${quoted(text)}: expected a path of 1 to 107 bytes`,
    )
  }
  return { kind: 'unix', path }
}

/** Text from outside is shown escaped and short. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}

/** `sun_path` of Linux holds 108 bytes, the last of them NUL. */
const MAX_UNIX_PATH_BYTES = 107
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?$/
