/** `TestProxy`: the true proxy service, run by the true server code, in a fake world. */
import { ProxyError } from '../error/index.js'
import { LoadBalancer } from '../load-balancing/index.js'
import { httpProxyService } from '../proxy/index.js'
import type {
  HttpProxyService,
  HttpProxyServiceOptions,
  ListenerSettings,
  ProxyHttp,
} from '../proxy/index.js'
import { GenBackgroundService, ServerConf, backgroundService } from '../server/index.js'
import type { BackgroundService, ServerConfOptions, Service, StopKind } from '../server/index.js'
import type { Environment } from '../transport/index.js'
import { makeExchange } from './exchange.js'
import type { Exchange } from './exchange.js'
import { HookRecorder } from './hook-recorder.js'
import type { RecordedSession } from './hook-recorder.js'
import { TestClient, dialClient } from './test-client.js'
import type { TestClientOptions } from './test-client.js'
import type { TestRequest } from './test-request.js'
import type { RunningServices, WorldHandle } from './world-handle.js'

/** How a proxy is set up in a fake world. */
export interface TestProxyOptions {
  /** The server's settings. Default: the documented ones. */
  readonly conf?: ServerConfOptions
  /** The service's settings. Default: the documented ones. */
  readonly options?: HttpProxyServiceOptions
  /** Where it listens. Default: `10.0.0.254:80`. */
  readonly listen?: string
  /** The listener's settings. Default: the documented ones. */
  readonly listener?: ListenerSettings
  /**
   * What is started before it, such as a `LoadBalancer` with health checks: one task, or services.
   * Default: nothing.
   */
  readonly background?: BackgroundService | readonly Service[]
}

/** A proxy that listens, and the way to send it requests. Made by `world.proxy(hooks)`. */
export class TestProxy {
  /** Where it listens, with the real port. */
  readonly address: string
  readonly #world: WorldHandle
  readonly #recorder: HookRecorder<unknown>
  readonly #running: RunningServices

  private constructor(
    world: WorldHandle,
    service: HttpProxyService,
    recorder: HookRecorder<unknown>,
    running: RunningServices,
  ) {
    this.address = service.addresses[0] ?? ''
    this.#world = world
    this.#recorder = recorder
    this.#running = running
  }

  /**
   * Starts a proxy as a server would: what runs in the background first, then the listener.
   * @throws what a server that cannot start throws (rejects), and {@link ProxyError}
   * `PGR_OPTION_INVALID` for a background `LoadBalancer` of another world.
   */
  static async start<Ctx>(
    world: WorldHandle,
    hooks: ProxyHttp<Ctx>,
    options: TestProxyOptions = {},
  ): Promise<TestProxy> {
    const configuration = new ServerConf(options.conf)
    const recorder = new HookRecorder(hooks, world.clock, (event) => {
      world.note(event)
    })
    const service = httpProxyService(configuration, recorder.hooks, options.options)
    service.addListener(options.listen ?? DEFAULT_ADDRESS, options.listener)
    const services = [...backgroundServices(options.background, world.env), service]
    const running = await world.serve(services, configuration)
    return new TestProxy(world, service, recorder, running)
  }

  /** Every request that met a hook so far, in order, with what was recorded of it. */
  get sessions(): readonly RecordedSession[] {
    return this.#recorder.sessions
  }

  /** The services that run: the proxy and what runs in the background. */
  get running(): RunningServices {
    return this.#running
  }

  /** Makes a `GET` request on a connection of its own. */
  get(path: string, request: TestRequest & TestClientOptions = {}): Promise<Exchange> {
    return this.request({ ...request, path })
  }

  /**
   * Makes a request on a connection of its own, which it closes when the answer is there. Lets time
   * pass until then. Never rejects because of what the proxy does: see `failure` of the exchange.
   */
  async request(request: TestRequest & TestClientOptions = {}): Promise<Exchange> {
    let client: TestClient
    try {
      client = await this.client(request)
    } catch (thrown) {
      return this.#unconnected(thrown)
    }
    const exchange = await client.request(request)
    await client.close()
    return exchange
  }

  /**
   * Connects a client, for several requests on one connection or for bytes that are none.
   * @throws {@link ProxyError} (rejects) as `dial` of a network does, and `PGR_CONNECT_TIMEOUT`
   * after 120 s.
   */
  async client(options: TestClientOptions = {}): Promise<TestClient> {
    const connection = await dialClient(this.#world, this.address, options)
    const { localAddress } = connection.digest
    // Of a connection before this one, for ports are used again.
    const before = this.#recorder.sessionsOf(localAddress).length
    return new TestClient(
      this.#world,
      connection,
      (index) => this.#recorder.sessionsOf(localAddress)[before + index],
    )
  }

  /** Stops it and what runs in the background, as a signal would, and lets time pass until then. */
  stop(kind: StopKind = 'graceful'): Promise<void> {
    return this.#running.stop(kind)
  }

  /** What became of a request for which there was no connection. */
  #unconnected(thrown: unknown): Exchange {
    if (!(thrown instanceof ProxyError)) throw thrown
    return makeExchange([], {
      connectionOpen: false,
      failure: thrown.code === 'PGR_CONNECT_TIMEOUT' ? 'timeout' : 'refused',
      fault: thrown.message,
      tookMs: 0,
      attempts: [],
      hooks: [],
      logs: [],
      counters: {},
    })
  }
}

function backgroundServices(
  background: TestProxyOptions['background'] = [],
  env: Environment,
): readonly Service[] {
  const services =
    'start' in background ? [backgroundService('background', background)] : background
  for (const service of services) if (hasTask(service)) assertSameWorld(service.task, env)
  return services
}

function hasTask(service: Service): service is GenBackgroundService<BackgroundService> {
  return service instanceof GenBackgroundService
}

/** A balancer of the real world would check fake backends over real sockets, and find none of them. */
function assertSameWorld(task: BackgroundService, env: Environment): void {
  if (!(task instanceof LoadBalancer) || task.backends.env === env) return
  throw new ProxyError(
    'PGR_OPTION_INVALID',
    `background: the LoadBalancer ${task.name} is not of this world: make it with { env: world.env }`,
  )
}

const DEFAULT_ADDRESS = '10.0.0.254:80'
