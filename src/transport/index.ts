/** `pingora-ts/transport`: connections, addresses, peers, the connector and the real network. */
export { Acceptor } from './acceptor.js'
export type {
  AcceptorOptions,
  AdmissionOptions,
  OnConnection,
  ProxyProtocolOptions,
} from './acceptor.js'
export { formatAddress, parseHostAddress, parseSocketAddress } from './address.js'
export type { HostAddress, SocketAddress } from './address.js'
export type { Connection, ConnectionHandler, CountingDuplex } from './connection.js'
export { Connector } from './connector.js'
export type { ConnectorOptions } from './connector.js'
export type { AcceptingSocket, DescriptorNetwork } from './descriptor-network.js'
export { AddressFilter } from './connection-filter.js'
export type { AddressFilterOptions, ConnectionFilter } from './connection-filter.js'
export type { ConnectProxyOptions } from './connect-tunnel.js'
export type { ConnectTimings, ConnectionDigest, ProxyProtocolDigest, TlsDigest } from './digest.js'
export type { DialOptions, Environment, Listener, Network, Random } from './environment.js'
export type { ListenOptions } from './listen-options.js'

export { HttpPeer, PEER_DEFAULTS } from './http-peer.js'
export type { BindTo, PeerOptions, UpstreamProtocol } from './http-peer.js'
export type {
  InheritedSocket,
  ListeningSocket,
  ListeningSockets,
  SocketsOfListener,
} from './listening-sockets.js'
export { NodeNetwork } from './node/node-network.js'
export type { NodeNetworkOptions } from './node/node-network.js'
export { ConnectionPool } from './pool.js'
export type { ConnectionPoolOptions } from './pool.js'
export { REAL_ENVIRONMENT } from './real-environment.js'
export type {
  ListenerSocketOptions,
  PeerSocketOptions,
  SocketOptions,
  TcpKeepalive,
} from './socket-options.js'
export type { Pem, TlsClientOptions } from './tls-client-options.js'
export { TicketKeys } from './ticket-keys.js'
export { TlsAcceptor } from './tls-acceptor.js'
export type { TlsAcceptorOptions } from './tls-acceptor.js'
export { checkCiphers } from './node/tls-identity.js'
export { INTERMEDIATE_CIPHERS } from './tls-server-options.js'
export type {
  CertificateCallback,
  ClientCertificates,
  TicketKeySource,
  TlsCertificate,
  TlsServerOptions,
} from './tls-server-options.js'
