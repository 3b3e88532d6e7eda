/** Starts a proxy in this process that sends everything to one plain peer. */
import { Counters, SILENT_LOGGER } from '../../src/observability/index.js'
import type { Logger } from '../../src/observability/index.js'
import { httpProxyService } from '../../src/proxy/index.js'
import type { HttpProxyServiceOptions, ListenerSettings, ProxyHttp } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import { HttpPeer, NodeNetwork, REAL_ENVIRONMENT } from '../../src/transport/index.js'
import type { NodeNetworkOptions, PeerOptions } from '../../src/transport/index.js'

/** What the proxy is made of, apart from its peer. */
export interface StartProxyOptions extends HttpProxyServiceOptions {
  /** Settings of the peer. */
  readonly peer?: PeerOptions
  /** Hooks besides `upstreamPeer`. */
  readonly hooks?: Partial<ProxyHttp<void>>
  /** The way that bytes in the clear take. Default: the fastest. */
  readonly io?: NodeNetworkOptions['io']
  /** Where it listens. Default: a free port of 127.0.0.1. */
  readonly listen?: string
  /** How it listens. Default: HTTP/1 alone. */
  readonly listener?: ListenerSettings
  /** Where the peer is. Default: 127.0.0.1 and the port that is given. */
  readonly peerAddress?: string
  /** Told what happens. Default: nobody. */
  readonly logger?: Logger
}

/** A proxy that listens. */
export interface RunningProxy {
  /** Its port; not a number on a unix socket. */
  readonly port: number
  readonly counters: Counters
  /** Ends it as SIGTERM would. */
  stop(): Promise<void>
  /** Drops all connections and stops listening. */
  destroy(): void
}

/** Starts a proxy in front of 127.0.0.1:`backendPort`. */
export async function startProxy(
  backendPort: number,
  startOptions: StartProxyOptions = {},
): Promise<RunningProxy> {
  const { peer = {}, hooks = {}, io = 'ring', listener, logger, ...options } = startOptions
  const { listen = '127.0.0.1:0', peerAddress = `127.0.0.1:${backendPort}` } = startOptions
  const configuration = new ServerConf()
  const proxy: ProxyHttp<void> = {
    newCtx: () => {},
    upstreamPeer: () => new HttpPeer(peerAddress, peer),
    ...hooks,
  }
  const service = httpProxyService(configuration, proxy, options)
  service.addListener(listen, listener)
  const counters = new Counters()
  const { clock } = REAL_ENVIRONMENT
  const env = { ...REAL_ENVIRONMENT, network: new NodeNetwork({ clock, io }) }
  await service.start({ env, configuration, logger: logger ?? SILENT_LOGGER, counters })
  return {
    port: Number(/:(\d+)$/.exec(service.addresses[0]!)?.[1]),
    counters,
    stop: () => service.stop(),
    destroy: () => {
      service.destroy()
    },
  }
}
