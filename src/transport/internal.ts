/** What `testing` and the server share with the transport: the network in memory, files of unix sockets. */
export { clearUnixPath } from './node/unix-path.js'
export { LINK_DEFAULTS } from './memory/link-options.js'
export type { LinkOptions, LinkSplit, ResolvedLink } from './memory/link-options.js'
export { MemoryConnection } from './memory/memory-connection.js'
export { MemoryNetwork } from './memory/memory-network.js'
export type { ListeningAddress, MemoryNetworkOptions } from './memory/memory-network.js'
export type { AcceptedTls, MemoryTlsOptions } from './memory/memory-tls.js'
