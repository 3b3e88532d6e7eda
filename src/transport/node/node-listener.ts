/** Listening on TCP ports and unix sockets with `net.Server`. */
import { lstatSync, chmodSync, unlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { ListenOptions as ServerListenOptions, Server, Socket } from 'node:net'
import { ProxyError } from '../../error/index.js'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { SocketAddress } from '../address.js'
import type { ConnectionDigest } from '../digest.js'
import type { ListenOptions, Listener } from '../environment.js'
import { listenError } from './system-errors.js'
import type { TcpHandle } from './tcp-binding.js'
import { acceptHandles, endOf } from './tcp-handle-network.js'

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

/** Removes the file of a unix socket that nobody serves; any other file there is an error. */
async function clearUnixPath(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  const where = `unix:${path}`
  if (!stat.isSocket())
    throw new ProxyError('PGR_LISTEN_FAILED', `listen ${where}: the file is not a socket`)
  const inUse = await answers(path)
  if (inUse) throw new ProxyError('PGR_LISTEN_FAILED', `listen ${where}: address already in use`)
  try {
    unlinkSync(path)
  } catch (cause) {
    throw listenError(where, cause)
  }
}

/** Whether somebody accepts on the unix socket at `path`; only a plain refusal says no. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    probe.once('connect', () => {
      resolve(true)
      probe.destroy()
    })
    probe.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED')
    })
  })
}

/** The descriptor is closed when `close` returns; its callback would wait for all connections. */
function closeServer(server: Server): Promise<void> {
  if (server.listening) server.close(ignore)
  return Promise.resolve()
}

function acceptedDigest(
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

/** One end of a TCP connection: address and port. */
type End = readonly [string, number]

/** An IPv4 client of a dual-stack listener is shown, and counted, as what it is. */
function plainIp(ip: string): string {
  return ip.startsWith(MAPPED) && ip.includes('.') ? ip.slice(MAPPED.length) : ip
}

function ignore(): void {
  // There is nothing that could be done about it.
}

const MAPPED = '::ffff:'
const DEFAULT_BACKLOG = 511
/** As Pingora: who may connect is decided by the folder. */
const DEFAULT_UNIX_MODE = 0o666
