/** The digests of plain connections, from what the system says about both ends. */
import type { ProxyAddress, ProxyHeader } from '../protocols/index.js'
import { formatAddress } from './address.js'
import type { SocketAddress } from './address.js'
import type { ConnectionDigest } from './digest.js'

/** One end of a TCP connection: address and port; an empty address when it is gone. */
export type End = readonly [host: string, port: number]

/** The digest of a connection that was accepted on a listener at `bound`. */
export function acceptedDigest(
  bound: SocketAddress,
  [peer, local]: readonly [End, End],
  establishedMs: number,
): ConnectionDigest {
  if (bound.kind === 'unix') {
    const localAddress = formatAddress(bound)
    return { peerAddress: 'unix:', localAddress, peerIp: '', establishedMs, tls: null }
  }
  const peerIp = plainIp(peer[0])
  return {
    peerAddress: formatAddress({ kind: 'ip', host: peerIp, port: peer[1] }),
    localAddress: formatAddress({ kind: 'ip', host: plainIp(local[0]), port: local[1] }),
    peerIp,
    establishedMs,
    tls: null,
  }
}

/** The digest of a connection that was dialled to `address`. */
export function dialledDigest(
  address: SocketAddress,
  [localHost, localPort]: End,
  establishedMs: number,
): ConnectionDigest {
  const peerAddress = formatAddress(address)
  if (address.kind === 'unix') {
    return { peerAddress, localAddress: 'unix:', peerIp: '', establishedMs, tls: null }
  }
  const localAddress = formatAddress({ kind: 'ip', host: localHost, port: localPort })
  return { peerAddress, localAddress, peerIp: address.host, establishedMs, tls: null }
}

/**
 * The digest of an accepted connection after its PROXY header: the client is the one that the header
 * tells of, where it tells of one; the sender stays known.
 */
export function proxiedDigest(transport: ConnectionDigest, header: ProxyHeader): ConnectionDigest {
  const { peerAddress, localAddress } = transport
  const { source, destination } = header
  const proxyProtocol = { peerAddress, localAddress, header }
  if (source === null || destination === null) return { ...transport, proxyProtocol }
  return {
    ...transport,
    peerAddress: endText(source),
    localAddress: endText(destination),
    peerIp: source.kind === 'ip' ? plainIp(source.host) : '',
    proxyProtocol,
  }
}

function endText(end: ProxyAddress): string {
  // An abstract name begins with NUL, for which tools write `@`.
  if (end.kind === 'unix') return formatAddress({ ...end, path: end.path.replace(/^\0/, '@') })
  return formatAddress({ ...end, host: plainIp(end.host) })
}

/** An IPv4 client of a dual-stack listener is shown, and counted, as what it is. */
function plainIp(ip: string): string {
  return ip.startsWith(MAPPED) && ip.includes('.') ? ip.slice(MAPPED.length) : ip
}

const MAPPED = '::ffff:'
