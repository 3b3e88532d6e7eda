/** Starts a proxy in this process that sends everything to one plain peer. */
import { Counters } from '../../src/observability/index.js'
import { httpProxyService } from '../../src/proxy/index.js'
import type { HttpProxyServiceOptions, ProxyHttp } from '../../src/proxy/index.js'
import { ServerConf } from '../../src/server/index.js'
import { HttpPeer, REAL_ENVIRONMENT } from '../../src/transport/index.js'
import type { PeerOptions } from '../../src/transport/index.js'
import { RecordingLogger } from './recording-logger.js'

/** What the proxy is made of, apart from its peer. */
export interface StartProxyOptions extends HttpProxyServiceOptions {
  /** Settings of the peer. */
  readonly peer?: PeerOptions
  /** Hooks besides `upstreamPeer`. */
  readonly hooks?: Partial<ProxyHttp<void>>
}

/** A proxy that listens. */
export interface RunningProxy {
  readonly port: number
  readonly counters: Counters
  readonly logger: RecordingLogger
  /** Drops all connections and stops listening. */
  destroy(): void
}

/** Starts a proxy on a free port of 127.0.0.1, in front of 127.0.0.1:`backendPort`. */
export async function startProxy(
  backendPort: number,
  { peer = {}, hooks = {}, ...options }: StartProxyOptions = {},
): Promise<RunningProxy> {
  const configuration = new ServerConf()
  const proxy: ProxyHttp<void> = {
    newCtx: () => {},
    upstreamPeer: () => new HttpPeer(`127.0.0.1:${backendPort}`, peer),
    ...hooks,
  }
  const service = httpProxyService(configuration, proxy, options)
  service.addTcp('127.0.0.1:0')
  const [counters, logger] = [new Counters(), new RecordingLogger()]
  await service.start({ env: REAL_ENVIRONMENT, configuration, logger, counters })
  return {
    port: Number(/:(\d+)$/.exec(service.addresses[0]!)![1]),
    counters,
    logger,
    destroy: () => {
      service.destroy()
    },
  }
}
