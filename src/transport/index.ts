/** `pingora-ts/transport`: connections, addresses, peers, the connector and the real network. */
export { Acceptor } from './acceptor.js'
export type { AcceptorOptions } from './acceptor.js'
export { formatAddress, parseHostAddress, parseSocketAddress } from './address.js'
export type { HostAddress, SocketAddress } from './address.js'
export type { Connection, ConnectionHandler } from './connection.js'
export { Connector } from './connector.js'
export type { ConnectorOptions } from './connector.js'
export type { ConnectionDigest, TlsDigest } from './digest.js'
export type {
  DialOptions,
  Environment,
  ListenOptions,
  Listener,
  Network,
  Random,
} from './environment.js'
export { HttpPeer, PEER_DEFAULTS } from './http-peer.js'
export type { PeerOptions } from './http-peer.js'
export { NodeNetwork } from './node/node-network.js'
export type { NodeNetworkOptions } from './node/node-network.js'
export { ConnectionPool } from './pool.js'
export type { ConnectionPoolOptions } from './pool.js'
export { REAL_ENVIRONMENT } from './real-environment.js'
export type { Pem, TlsClientOptions } from './tls-client-options.js'
