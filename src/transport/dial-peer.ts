/** The way to a peer for those who look whether it is there: all that a request's connection does before TLS. */
import { parseHostAddress } from './address.js'
import { openTunnel } from './connect-tunnel.js'
import type { Connection } from './connection.js'
import type { Network } from './environment.js'
import type { HttpPeer } from './http-peer.js'

/**
 * Connects to the first address of `peer`, through the proxy on the way, and says in a PROXY header
 * that the connection is our own, where the peer wants one. When it fails nothing stays open.
 * @throws {@link ProxyError} (rejects) as `Network.dial` does, and `PGR_RESOLVE_FAILED`,
 * `PGR_CONNECT_PROXY_FAILED`; the signal's reason when that ended it.
 */
export async function dialPeer(
  network: Network,
  peer: HttpPeer,
  signal: AbortSignal,
): Promise<Connection> {
  const [address] = await network.resolve(parseHostAddress((peer.proxy ?? peer).address))
  const connection = await network.dial(address!, { ...peer.dialOptions(address!), signal })
  try {
    if (peer.proxy !== null) await openTunnel(connection, peer.address, peer.proxy, signal)
  } catch (thrown) {
    connection.destroy()
    throw thrown
  }
  if (peer.preamble !== null) connection.write(peer.preamble)
  return connection
}
