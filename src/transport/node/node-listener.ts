/** Listening on TCP ports and unix sockets with `net.Server`. */
import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import type { ListenOptions as ServerListenOptions, Server, Socket } from 'node:net'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import { acceptedDigest } from '../connection-digests.js'
import type { ConnectionDigest } from '../digest.js'
import type { Listener } from '../environment.js'
import type { ListenOptions } from '../listen-options.js'
import { DEFAULT_BACKLOG } from '../listening-sockets.js'
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
  const where =
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
  const server = await listening(address, { ...where, ...backlogOf(options), exclusive: true })
  if (address.kind === 'unix') chmodSync(address.path, options.unixMode ?? DEFAULT_UNIX_MODE)
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0
  return acceptOn(server, address.kind === 'unix' ? address : { ...address, port }, clock, accept)
}

/**
 * Accepts on a descriptor that listens already and is used up: closing the listener closes it.
 * @throws {@link ProxyError} (rejects) `PGR_LISTEN_FAILED` with the address and the reason.
 */
export async function listenOnDescriptor(
  fd: number,
  bound: SocketAddress,
  options: ListenOptions,
  clock: Clock,
  accept: Accept,
): Promise<Listener> {
  // Node listens again, and so has to be told the backlog again.
  const server = await listening(bound, { fd, ...backlogOf(options) })
  return acceptOn(server, bound, clock, accept)
}

function acceptOn(server: Server, bound: SocketAddress, clock: Clock, accept: Accept): Listener {
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

/** A server that listens. Where that fails nothing stays open. */
async function listening(
  address: SocketAddress,
  where: ServerListenOptions & { readonly fd?: number },
): Promise<Server> {
  // Half-open: after a client's FIN we decide, not Node, when our direction ends.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(where, () => {
        server.off('error', reject)
        // A failed accept must not end the process; the kernel keeps or drops that connection.
        server.on('error', ignore)
        resolve()
      })
    })
    return server
  } catch (cause) {
    server.close(ignore)
    throw listenError(formatAddress(address), cause)
  }
}

function backlogOf({ backlog = DEFAULT_BACKLOG }: ListenOptions): ServerListenOptions {
  return { backlog }
}

/** The descriptor is closed when `close` returns; its callback would wait for all connections. */
function closeServer(server: Server): Promise<void> {
  if (server.listening) server.close(ignore)
  return Promise.resolve()
}

function ignore(): void {
  // There is nothing that could be done about it.
}
