/** `httpProxyService`: a proxy with its listeners, as a service of a server. */
import { LinkedSet } from '../collections/index.js'
import { ProxyError } from '../error/index.js'
import { HttpDate } from '../http/index.js'
import { REQUEST_LIMITS } from '../protocols/index.js'
import type { RequestLimits } from '../protocols/index.js'
import type { ServerConf, Service, ServiceContext, ServiceStopOptions } from '../server/index.js'
import {
  DOWNSTREAM_TIMEOUTS,
  H1ServerConnection,
  H2ServerConnection,
  H2_LIMITS,
  HttpConnector,
  ProtocolConnection,
} from '../session/index.js'
import type {
  DownstreamTimeouts,
  H2Limits,
  H2ServerOptions,
  ServerConnection,
} from '../session/index.js'
import { Acceptor, Connector, formatAddress, parseHostAddress } from '../transport/index.js'
import type {
  AdmissionOptions,
  Connection,
  HostAddress,
  ListenerSocketOptions,
} from '../transport/index.js'
import { errorResponse } from './error-response.js'
import { readHooks } from './hooks.js'
import type { Hooks } from './hooks.js'
import { keyLogTo } from './listener-tls.js'
import type { ListenerTls } from './listener-tls.js'
import { Pipeline } from './pipeline.js'
import { RequestIds } from './request-ids.js'
import type { ProxyHttp } from './proxy-http.js'
import { TlsListener } from './tls-listener.js'
import { TlsServerConnection } from './tls-server-connection.js'
import type { Serve } from './tls-server-connection.js'

/** Settings of a proxy service; the defaults are the documented limits and time-outs. */
export interface HttpProxyServiceOptions {
  /** Name for messages. Default: `HTTP proxy`. */
  readonly name?: string
  /** Limits of request heads. Default: see {@link RequestLimits}. */
  readonly limits?: Partial<RequestLimits>
  /** Time-outs towards clients. Default: see {@link DownstreamTimeouts}. */
  readonly timeouts?: Partial<DownstreamTimeouts>
  /** Whether a FIN after a complete request means that the client is gone. Default: true. */
  readonly abortOnClose?: boolean
  /**
   * Whether CONNECT goes to the upstream as other methods do, and a 2xx of it opens a tunnel; else it
   * is answered with 405. `upstreamPeer` says where to, and should look at the target. Default: false.
   */
  readonly allowConnect?: boolean
  /** Request body bytes kept for another attempt; larger bodies are not retried. Default: 65536. */
  readonly maxRetryBytes?: number
  /** Idle upstream connections kept. Default: the server's `upstream_keepalive_pool_size`. */
  readonly maxIdleUpstreams?: number
  /** Connections per listener; 0: no limit. Default: 10000. */
  readonly maxConnections?: number
  /** Connections per client IP and listener; 0: no limit. Default: 0. */
  readonly maxConnectionsPerClient?: number
  /** Limits of each client's HTTP/2 connection. Default: see {@link H2Limits}. */
  readonly http2?: Partial<H2Limits>
}

/** Settings of one listener: the socket, and who may connect. */
export interface ListenerSettings extends AdmissionOptions {
  /** Connections that the kernel keeps until they are accepted. Default: 511. */
  readonly backlog?: number
  /** Permission bits of a unix socket's file. Default: 0o666. */
  readonly unixMode?: number
  /** Certificates and what else TLS needs. Default: connections are in the clear. */
  readonly tls?: ListenerTls
  /** Options of the socket and of what it accepts. Default: those of the system. */
  readonly socket?: ListenerSocketOptions
  /**
   * Whether clients without TLS may speak HTTP/2 by prior knowledge (h2c), beside HTTP/1: the first
   * bytes of each connection decide. Default: false.
   */
  readonly h2c?: boolean
}

/**
 * Makes a service of `proxy`. Add listeners to it, and it to a server.
 * @throws {@link ProxyError} `PGR_NOT_AVAILABLE`, `PGR_OPTION_INVALID` for hooks that do not fit.
 */
export function httpProxyService<Ctx>(
  configuration: ServerConf,
  proxy: ProxyHttp<Ctx>,
  options: HttpProxyServiceOptions = {},
): HttpProxyService<Ctx> {
  return new HttpProxyService(configuration, readHooks(proxy), options)
}

/** A proxy with its listeners; made by {@link httpProxyService}. */
export class HttpProxyService<Ctx = unknown> implements Service {
  readonly name: string
  readonly runsIn = 'threads' as const
  readonly #configuration: ServerConf
  readonly #hooks: Hooks<Ctx>
  readonly #options: HttpProxyServiceOptions
  readonly #listeners: { readonly address: HostAddress; readonly settings: ListenerSettings }[] = []
  readonly #acceptors: Acceptor[] = []
  readonly #tlsListeners: TlsListener[] = []
  readonly #connections = new LinkedSet<ServerConnection>()
  #connector: HttpConnector | null = null
  #stopping = false
  #keepsIdle = false
  #onEmpty: (() => void) | null = null
  #stopped: Promise<void> | null = null

  constructor(configuration: ServerConf, hooks: Hooks<Ctx>, options: HttpProxyServiceOptions) {
    this.name = options.name ?? 'HTTP proxy'
    this.#configuration = configuration
    this.#hooks = hooks
    this.#options = options
  }

  /**
   * Listens on `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH` once the server runs; port 0 picks one.
   * @throws {@link ProxyError} `PGR_ADDRESS_INVALID`.
   */
  addListener(address: string, settings: ListenerSettings = {}): void {
    this.#listeners.push({ address: parseHostAddress(address), settings })
  }

  /** Listens on a TCP address; Pingora's name for {@link addListener}. */
  addTcp(address: string, settings: ListenerSettings = {}): void {
    this.addListener(address, settings)
  }

  /** Listens on a unix socket. @param mode permission bits of its file. Default: 0o666. */
  addUds(path: string, mode?: number): void {
    this.addListener(`unix:${path}`, mode === undefined ? {} : { unixMode: mode })
  }

  /** Listens with TLS and one certificate; the files may be replaced while it runs. */
  addTls(address: string, certFile: string, keyFile: string): void {
    this.addTlsWithSettings(address, { certificates: [{ certFile, keyFile }] })
  }

  /** Listens with TLS as `tls` says; `addListener` with `{ tls }` is the same. */
  addTlsWithSettings(address: string, tls: ListenerTls, settings: ListenerSettings = {}): void {
    this.addListener(address, { ...settings, tls })
  }

  /** Where the service listens, with real ports; empty before it does. */
  get addresses(): string[] {
    return this.#acceptors.map((acceptor) => formatAddress(acceptor.address))
  }

  /** For `-t`: a service that listens nowhere is a mistake, and so are certificates that are none. */
  check(context: ServiceContext): void {
    this.#checkListeners()
    // Making one reads the files, and warns of what they say.
    for (const { address, settings } of this.#listeners)
      if (settings.tls)
        new TlsListener(settings.tls, { alpn: ALPN }, formatAddress(address), context)
  }

  async start(context: ServiceContext): Promise<void> {
    this.#checkListeners()
    const serverOptions = this.#serverOptions(context)
    for (const { address, settings } of this.#listeners) {
      const { tls, h2c = false, ...socketSettings } = settings
      const tlsListener = tls && this.#tlsListener(tls, address, context)
      const speak = tlsListener
        ? speakTls(tlsListener, serverOptions)
        : speakPlain(h2c, serverOptions)
      const [first] = await context.env.network.resolve(address)
      if (first === undefined) throw new ProxyError('PGR_RESOLVE_FAILED', formatAddress(address))
      const { maxConnections, maxConnectionsPerClient } = this.#options
      const acceptor = new Acceptor({
        address: first,
        ...socketSettings,
        forTls: tls !== undefined,
        admissionTimeoutMs: serverOptions.timeouts.headerMs,
        ...(maxConnections !== undefined && { maxConnections }),
        ...(maxConnectionsPerClient !== undefined && { maxConnectionsPerClient }),
        env: context.env,
        counters: context.counters,
        logger: context.logger,
      })
      await acceptor.listen((connection, prefix) => {
        this.#serve(connection, prefix, acceptor, speak)
      })
      this.#acceptors.push(acceptor)
      // A stop may have come while the socket was being opened.
      if (this.#stopping) await acceptor.close()
      else if ((context.thread ?? 0) === 0)
        context.logger.info(`listening on ${formatAddress(acceptor.address)}`)
    }
  }

  stop({ keepsIdle = false }: ServiceStopOptions = {}): Promise<void> {
    this.#stopped ??= this.#stop(keepsIdle)
    return this.#stopped
  }

  destroy(): void {
    this.#stopping = true
    for (const each of this.#tlsListeners) each.stop()
    for (const acceptor of this.#acceptors) void acceptor.close()
    for (const connection of this.#connections) connection.destroy()
    this.#connector?.close()
  }

  async #stop(keepsIdle: boolean): Promise<void> {
    this.#stopping = true
    this.#keepsIdle = keepsIdle
    for (const each of this.#tlsListeners) each.stop()
    const closed = this.#acceptors.map((acceptor) => acceptor.close(keepsIdle))
    for (const connection of this.#connections) connection.drain(keepsIdle)
    await Promise.all(closed)
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve
      })
    }
    this.#connector?.close()
  }

  #checkListeners(): void {
    if (this.#listeners.length > 0) return
    throw new ProxyError('PGR_OPTION_INVALID', `${this.name}: no listener was added`)
  }

  #tlsListener(tls: ListenerTls, address: HostAddress, context: ServiceContext): TlsListener {
    const surroundings = { alpn: ALPN, ticketKeys: context.ticketKeys }
    const listener = new TlsListener(tls, surroundings, formatAddress(address), context)
    this.#tlsListeners.push(listener)
    if (!this.#stopping) listener.start()
    return listener
  }

  #serve(connection: Connection, prefix: Buffer | null, acceptor: Acceptor, speak: Serve): void {
    const server = speak(connection, () => {
      this.#connections.remove(link)
      acceptor.released(connection)
      if (this.#connections.size === 0) this.#onEmpty?.()
    })
    const link = this.#connections.add(server)
    server.start(prefix)
    if (this.#stopping) server.drain(this.#keepsIdle)
  }

  #serverOptions({ env, logger, counters, thread = 0 }: ServiceContext): H2ServerOptions {
    const { limits, timeouts, abortOnClose = true, allowConnect = false } = this.#options
    const { maxRetryBytes = 65_536 } = this.#options
    const conf = this.#configuration
    const maxIdleConnections = this.#options.maxIdleUpstreams ?? conf.upstreamKeepalivePoolSize
    const connector = new Connector({
      env,
      logger,
      counters,
      maxIdleConnections,
      clientBindToIpv4: conf.clientBindToIpv4,
      clientBindToIpv6: conf.clientBindToIpv6,
      ...(conf.ca !== undefined && { ca: conf.ca }),
      ...(conf.upstreamKeyLogFile !== undefined && {
        onKeyLog: keyLogTo(conf.upstreamKeyLogFile),
      }),
    })
    this.#connector = new HttpConnector({ env, connector, maxIdleConnections, counters })
    const pipeline = new Pipeline(this.#hooks, {
      env,
      connector: this.#connector,
      logger,
      counters,
      requestIds: new RequestIds(env.clock.wallMs(), thread),
      maxAttempts: conf.maxRetries,
      maxRetryBytes,
    })
    return {
      env,
      logger,
      counters,
      date: new HttpDate(),
      limits: { ...REQUEST_LIMITS, ...limits },
      timeouts: { ...DOWNSTREAM_TIMEOUTS, ...timeouts },
      http2: { ...H2_LIMITS, ...this.#options.http2 },
      abortOnClose,
      allowConnect,
      onRequest: (session) => {
        pipeline.serve(session)
      },
      errorResponse,
    }
  }
}

/** What is spoken on the connections of a plain listener. */
function speakPlain(h2c: boolean, options: H2ServerOptions): Serve {
  return h2c
    ? (connection, onClosed) => new ProtocolConnection(connection, options, onClosed)
    : (connection, onClosed) => new H1ServerConnection(connection, options, onClosed)
}

/** What is spoken on the connections of a listener with TLS, as ALPN decides. */
function speakTls({ acceptor }: TlsListener, options: H2ServerOptions): Serve {
  const speak: Serve = (secured, onClosed) =>
    secured.digest.tls?.alpn === 'h2'
      ? new H2ServerConnection(secured, options, onClosed)
      : new H1ServerConnection(secured, options, onClosed)
  return (connection, onClosed) => new TlsServerConnection(connection, acceptor, speak, onClosed)
}

/** What listeners with TLS offer by ALPN, the preferred one first; {@link speakTls} serves each of them. */
const ALPN = ['h2', 'http/1.1'] as const
