/** `NodeNetwork`: the real network, by `node:net`, `node:tls` and `node:dns`. */
import { lookup } from 'node:dns/promises'
import { Socket, connect } from 'node:net'
import type { NetConnectOpts, SocketConstructorOpts, TcpNetConnectOpts } from 'node:net'
import { ProxyError } from '../../error/index.js'
import { Sockets, loadLibc } from '../../os/internal.js'
import { RealClock } from '../../time/index.js'
import type { Clock } from '../../time/index.js'
import { formatAddress } from '../address.js'
import type { HostAddress, SocketAddress } from '../address.js'
import { dialledDigest } from '../connection-digests.js'
import type { Connection } from '../connection.js'
import type { DescriptorNetwork } from '../descriptor-network.js'
import { giveConnection } from '../give-connection.js'
import { ListeningSockets } from '../listening-sockets.js'
import type { ListeningSocket } from '../listening-sockets.js'
import type { DialOptions, Listener, Network } from '../environment.js'
import type { ListenOptions } from '../listen-options.js'
import { needsDescriptor, prepareSocket } from '../prepare-socket.js'
import { noSocketOptions } from '../socket-options.js'
import { RingLoop } from '../ring/ring-loop.js'
import { RingNetwork } from '../ring/ring-network.js'
import type { TlsClientOptions } from '../tls-client-options.js'
import type { TlsServerOptions } from '../tls-server-options.js'
import { NodeConnection } from './node-connection.js'
import { NodeDescriptors } from './node-descriptors.js'
import { listenOn, listenOnDescriptor } from './node-listener.js'
import type { Accept } from './node-listener.js'
import { ReadBuffer } from './read-buffer.js'
import { dialError, resolveError } from './system-errors.js'
import { loadTcpBinding } from './tcp-binding.js'
import type { TcpBinding } from './tcp-binding.js'
import { TcpHandleConnection } from './tcp-handle-connection.js'
import { dialHandle, endOf } from './tcp-handle-network.js'
import { TlsClient } from './tls-client.js'
import { TlsServer } from './tls-server.js'

/** What a {@link NodeNetwork} is made from. */
export interface NodeNetworkOptions {
  /** Says when a connection was established. Default: the machine's clock. */
  readonly clock?: Clock
  /** See {@link Network.onUncaught}. Default: nobody is told. */
  readonly onUncaught?: (error: unknown) => void
  /**
   * The fastest way that bytes in the clear may take: io_uring, the TCP handles below `net.Socket`,
   * or only Node's public sockets. What this machine does not have is passed over. Default: `ring`.
   */
  readonly io?: 'ring' | 'handles' | 'sockets'
}

/**
 * Opens, secures and accepts connections. TCP in the clear works on the TCP handles below
 * `net.Socket` where this Node has them as we know them (docs/decisions/0001-tcp-handles.md);
 * everything else goes through Node's public API.
 */
export class NodeNetwork implements Network {
  onUncaught: (error: unknown) => void
  readonly #clock: Clock
  readonly #tls: TlsClient
  readonly #serverTls: TlsServer
  readonly #binding: TcpBinding | null
  readonly #io: NonNullable<NodeNetworkOptions['io']>
  #listeningSockets: ListeningSockets | null = null
  readonly #report = (error: unknown): void => {
    this.onUncaught(error)
  }

  constructor(options: NodeNetworkOptions = {}) {
    const { clock = new RealClock(), onUncaught = ignore, io = 'ring' } = options
    this.#clock = clock
    this.#binding = io === 'sockets' ? null : loadTcpBinding()
    this.#io = io
    this.onUncaught = onUncaught
    this.#tls = new TlsClient(clock, this.#report)
    this.#serverTls = new TlsServer(clock, this.#report)
  }

  async dial(address: SocketAddress, options: DialOptions): Promise<Connection> {
    options.signal?.throwIfAborted()
    if (this.#ring !== null && options.forTls !== true) return this.#ring.dial(address, options)
    const binding = this.#binding
    const onUncaught = this.#report
    const fd = needsDescriptor(options) ? openPrepared(address, options) : undefined
    if (fd === undefined && binding !== null && address.kind === 'ip' && options.forTls !== true) {
      const handle = await dialHandle(binding, address, options)
      const nowMs = this.#clock.nowMs()
      const digest = dialledDigest(address, endOf(handle, 'getsockname'), nowMs)
      return new TcpHandleConnection(handle, binding, { digest, onUncaught, staysLarge: true })
    }
    const slot: ReadSlot = { connection: null }
    // TLS reads through its own layer; an `onread` buffer below it would never be filled.
    const readBuffer = options.forTls ? null : new ReadBuffer()
    const onread = readBuffer && onreadOf(readBuffer, slot)
    const socket = openSocket(address, options, onread, fd)
    return connected(socket, address, options.signal, () => {
      const { localAddress = '', localPort = 0 } = socket
      const digest = dialledDigest(address, [localAddress, localPort], this.#clock.nowMs())
      slot.connection = new NodeConnection(socket, { digest, readBuffer, onUncaught })
      return slot.connection
    })
  }

  startTls(
    connection: Connection,
    options: TlsClientOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    if (connection instanceof NodeConnection) return this.#tls.start(connection, options, signal)
    return refuseForeign(connection)
  }

  startServerTls(
    connection: Connection,
    options: TlsServerOptions,
    signal?: AbortSignal,
    prefix?: Uint8Array,
  ): Promise<Connection> {
    if (connection instanceof NodeConnection)
      return this.#serverTls.start(connection, options, signal, prefix)
    return refuseForeign(connection)
  }

  async listen(
    address: SocketAddress,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const { listeningSockets } = this
    if (listeningSockets === null && options.socket !== undefined)
      throw noSocketOptions(`listen ${formatAddress(address)}`)
    if (listeningSockets === null)
      return listenOn(address, options, this.#clock, this.#accept(onConnection, options))
    const sockets = await listeningSockets.listen(address, options)
    const accepting = await Promise.all(
      sockets.map((socket) => this.#acceptOn(socket, options, onConnection)),
    )
    return {
      address: sockets[0].bound,
      close: async () => {
        for (const socket of sockets) listeningSockets.release(socket)
        await Promise.all(accepting.map((each) => each.close()))
      },
    }
  }

  /** A process of another kind may have left the socket non-blocking, which no ring can accept on. */
  async #acceptOn(
    socket: ListeningSocket,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Pick<Listener, 'close'>> {
    const ring = options.forTls === true ? null : this.#ring
    if (ring !== null && !socket.isNonBlocking) {
      return ring.accept(socket, options, (fd) => {
        ring.adopt(fd, socket.bound, onConnection)
      })
    }
    const accept = this.#accept(onConnection, options)
    return listenOnDescriptor(socket.fd, socket.bound, options, this.#clock, accept)
  }

  /** How connections come from Node's own servers. */
  #accept(
    onConnection: (connection: Connection) => void,
    { forTls = false }: ListenOptions,
  ): Accept {
    const onUncaught = this.#report
    const binding = forTls ? null : this.#binding
    const give = (connection: Connection): void => {
      giveConnection(connection, onConnection, onUncaught)
    }
    return {
      socket: (socket, digest) => {
        give(new NodeConnection(socket, { digest, readBuffer: null, onUncaught }))
      },
      handle:
        binding &&
        ((handle, digest) => {
          give(new TcpHandleConnection(handle, binding, { digest, onUncaught, staysLarge: false }))
        }),
    }
  }

  /** Accepting in one thread and serving in others; `null` where there is no libc to call. */
  get descriptors(): DescriptorNetwork | null {
    const libc = this.#io === 'ring' ? loadLibc() : null
    return this.#ring ?? (libc && new NodeDescriptors(new Sockets(libc), this.#clock, this.#report))
  }

  get listeningSockets(): ListeningSockets | null {
    if (this.#io !== 'ring') return null
    const libc = loadLibc()
    if (libc !== null) this.#listeningSockets ??= new ListeningSockets(new Sockets(libc))
    return this.#listeningSockets
  }

  /** The thread's ring, taken on first use: a program that opens nothing should not pay for it. */
  get #ring(): RingNetwork | null {
    if (this.#io !== 'ring') return null
    const loop = RingLoop.ofThread()
    return loop && new RingNetwork(loop, this.#clock, this.#report)
  }

  async resolve(address: HostAddress): Promise<SocketAddress[]> {
    if (address.kind !== 'name') return [address]
    try {
      const found = await lookup(address.host, { all: true, verbatim: true })
      return found.map((entry) => ({ kind: 'ip', host: entry.address, port: address.port }))
    } catch (cause) {
      throw resolveError(address.host, cause)
    }
  }
}

function refuseForeign(connection: Connection): Promise<never> {
  connection.destroy()
  return Promise.reject(new ProxyError('PGR_INTERNAL', 'TLS was asked for on a foreign connection'))
}

/** The connection that a socket's reads go to, once there is one. */
interface ReadSlot {
  connection: NodeConnection | null
}

type Onread = NonNullable<TcpNetConnectOpts['onread']>

function onreadOf(readBuffer: ReadBuffer, slot: ReadSlot): Onread {
  return {
    buffer: () => readBuffer.next(),
    callback: (length, buffer) => {
      slot.connection?.receive(buffer as Buffer, length)
      return true
    },
  }
}

/** A socket that is connecting and does not read when it is connected. */
function openSocket(
  address: SocketAddress,
  options: DialOptions,
  onread: Onread | null,
  fd: number | undefined,
): Socket {
  const target =
    address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
  const local = address.kind === 'ip' &&
    options.localAddress !== undefined && { localAddress: options.localAddress }
  try {
    const reading = onread && { onread }
    const settings = { ...reading, noDelay: true, allowHalfOpen: true }
    if (fd !== undefined) return connectDescriptor(fd, settings, target)
    const socket = connect({ ...target, ...local, ...settings } as TcpNetConnectOpts)
    socket.pause()
    return socket
  } catch (cause) {
    throw dialError(formatAddress(address), cause)
  }
}

/** The descriptor of a socket with more options than Node's own API has. */
function openPrepared(address: SocketAddress, options: DialOptions): number {
  const libc = loadLibc()
  if (libc === null) throw noSocketOptions(`connect ${formatAddress(address)}`)
  return prepareSocket(new Sockets(libc), address, options)
}

/** Connects a descriptor that is not connected yet. */
function connectDescriptor(
  fd: number,
  settings: SocketConstructorOpts,
  target: NetConnectOpts,
): Socket {
  const socket = new Socket({ ...settings, fd })
  socket.pause()
  return socket.connect(target)
}

/** Wraps `socket` once it is connected; when that fails or `signal` fires, nothing stays open. */
function connected(
  socket: Socket,
  address: SocketAddress,
  signal: AbortSignal | undefined,
  wrap: () => Connection,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy()
      reject(signal?.reason as Error)
    }
    const onError = (cause: Error): void => {
      signal?.removeEventListener('abort', onAbort)
      reject(dialError(formatAddress(address), cause))
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      signal?.removeEventListener('abort', onAbort)
      const connection = wrap()
      // Only now: an error without a listener would end the process.
      socket.off('error', onError)
      resolve(connection)
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function ignore(): void {
  // Nobody asked to be told.
}
