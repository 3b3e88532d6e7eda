/** Listening on TCP ports and unix sockets with `net.Server`. */
import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import type { ListenOptions as ServerListenOptions, Server, Socket } from 'node:net'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest } from '../connection-digests.js'
import type { ConnectionDigest } from '../digest.js'
import type { ListenOptions, Listener } from '../environment.js'
import { listenError } from './system-errors.js'
import type { TcpHandle } from './tcp-binding.js'
import { acceptHandles, endOf } from './tcp-handle-network.js'
import { DEFAULT_UNIX_MODE, clearUnixPath } from './unix-path.js'

/** What is called with every accepted socket or handle, which is not reading. */
export interface Accept {
  readonly socket: (socket: Socket, digest: ConnectionDigest) => void
  /** `null` where handles are not used. */
  readonly handle: ((handle: TcpHandle, digest: ConnectionDigest) => void) | null
}

/**
 * Listens on `address`. A unix socket's file that nobody serves any more is replaced.
 * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
 */
export async function listenOn(
  address: SocketAddress,
  options: ListenOptions,
  clock: Clock,
  accept: Accept,
): Promise<Listener> {
  if (address.kind === 'unix') await clearUnixPath(address.path)
  // Half-open: after a client's FIN we decide, not Node, when our direction ends.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
  const bound = await bind(server, address, options)
  server.on('connection', (socket) => {
    const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket
    const ends = [
      [remoteAddress, remotePort],
      [localAddress, localPort],
    ] as const
    accept.socket(socket, acceptedDigest(bound, ends, clock.nowMs()))
  })
  const { handle: acceptHandle } = accept
  if (acceptHandle !== null && bound.kind === 'ip') {
    acceptHandles(server, (handle) => {
      const ends = [endOf(handle, 'getpeername'), endOf(handle, 'getsockname')] as const
      acceptHandle(handle, acceptedDigest(bound, ends, clock.nowMs()))
    })
  }
  return { address: bound, close: () => closeServer(server) }
}

async function bind(
  server: Server,
  address: SocketAddress,
  options: ListenOptions,
): Promise<SocketAddress> {
  const backlog = options.backlog ?? DEFAULT_BACKLOG
  const where: ServerListenOptions =
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ ...where, backlog, exclusive: true }, () => {
        server.off('error', reject)
        // A failed accept must not end the process; the kernel keeps or drops that connection.
        server.on('error', ignore)
        resolve()
      })
    })
    if (address.kind === 'unix') {
      chmodSync(address.path, options.unixMode ?? DEFAULT_UNIX_MODE)
      return address
    }
  } catch (cause) {
    server.close(ignore)
    throw listenError(formatAddress(address), cause)
  }
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : address.port
  return { kind: 'ip', host: address.host, port }
}

/** The descriptor is closed when `close` returns; its callback would wait for all connections. */
function closeServer(server: Server): Promise<void> {
  if (server.listening) server.close(ignore)
  return Promise.resolve()
}

function ignore(): void {
  // There is nothing that could be done about it.
}

/** Pending connections that the kernel keeps. */
export const DEFAULT_BACKLOG = 511
