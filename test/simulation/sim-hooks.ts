/** The hooks of a simulated proxy: each may be absent, answer at once, late, or throw. */
import type { ProxyError } from '../../src/error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../../src/http/index.js'
import type { LoadBalancer } from '../../src/load-balancing/index.js'
import type { HttpModule, HttpModules } from '../../src/modules/index.js'
import type {
  Awaitable,
  BodyVerdict,
  FailToProxyVerdict,
  ProxyHttp,
  Session,
} from '../../src/proxy/index.js'
import type { SeededRandom, TestWorld } from '../../src/testing/index.js'
import { HttpPeer } from '../../src/transport/index.js'
import type { ConnectionDigest } from '../../src/transport/index.js'
import type { Ledger } from './ledger.js'
import { HOOK_NAMES } from './proxy-plan.js'
import type { BodyFilter, HookName, ProxyPlan } from './proxy-plan.js'
import { idIn } from './sim-upstream.js'

/** What belongs to one request. */
export interface SimContext {
  /** The hook that throws for it, if one does. */
  throwsIn: HookName | null
  /** Pieces that a filter keeps until the end. */
  requestPieces: Buffer[]
  responsePieces: Buffer[]
}

/** What the hooks need. */
export interface SimHooksParts {
  readonly world: TestWorld
  readonly ledger: Ledger
  readonly plan: ProxyPlan
  readonly balancer: LoadBalancer
  /** The name in each upstream's certificate, by address; empty: no TLS. */
  readonly tlsNames: ReadonlyMap<string, string>
  /** Told of each connection to an upstream that is new. */
  readonly onConnected: (peerAddress: string, localAddress: string) => void
}

/** Makes the hooks of the plan; those that are absent there are absent here. */
export function makeHooks(parts: SimHooksParts): ProxyHttp<SimContext> {
  const all = new SimHooks(parts)
  const { hooks, requestBody, responseBody } = parts.plan
  const present: Record<string, unknown> = {}
  for (const name of [
    'newCtx',
    'upstreamPeer',
    'connectedToUpstream',
    'errorWhileProxy',
  ] as const) {
    present[name] = all[name].bind(all)
  }
  for (const name of HOOK_NAMES) {
    if (hooks[name] !== 'absent') present[name] = all[name].bind(all)
  }
  if (parts.plan.hasModule) present['initDownstreamModules'] = addCopier
  if (!parts.plan.retriesExchange) delete present['errorWhileProxy']
  if (requestBody === 'absent') delete present['requestBodyFilter']
  else present['requestBodyFilter'] = all.requestBodyFilter.bind(all)
  if (responseBody === 'absent') delete present['responseBodyFilter']
  else present['responseBodyFilter'] = all.responseBodyFilter.bind(all)
  return present as unknown as ProxyHttp<SimContext>
}

/** What a body looks like behind a filter. */
export function filteredBody(filter: BodyFilter, body: Buffer): Buffer {
  return filter === 'flip' ? flip(body) : body
}

class SimHooks implements ProxyHttp<SimContext> {
  readonly #parts: SimHooksParts
  readonly #random: SeededRandom

  constructor(parts: SimHooksParts) {
    this.#parts = parts
    this.#random = parts.world.random.fork('hooks')
  }

  newCtx(): SimContext {
    const { throwShare } = this.#parts.plan
    const throwsIn = this.#random.chance(throwShare) ? this.#random.pick(HOOK_NAMES) : null
    return { throwsIn, requestPieces: [], responsePieces: [] }
  }

  earlyRequestFilter(session: Session, ctx: SimContext): Awaitable<void> {
    return this.#answer('earlyRequestFilter', session, ctx, () => undefined)
  }

  requestFilter(session: Session, ctx: SimContext): Awaitable<'continue' | 'responded'> {
    if (!this.#random.chance(this.#parts.plan.ownAnswerShare)) {
      return this.#answer('requestFilter', session, ctx, () => 'continue')
    }
    const status = this.#random.pick([200, 204, 403])
    return this.#answer('requestFilter', session, ctx, () => {
      this.#respond(session, status)
      return 'responded'
    })
  }

  upstreamPeer(session: Session, ctx: SimContext): Awaitable<HttpPeer | undefined> {
    const { balancer, plan, tlsNames } = this.#parts
    const failed = new Set(session.attempts.map(({ peer }) => peer.address))
    const backend = plan.avoidsFailed
      ? balancer.selectWith('', 256, (each, ready) => ready && !failed.has(each.address))
      : balancer.select('', 256)
    const tlsName = tlsNames.get(backend?.address ?? '') ?? ''
    const tls = tlsName === '' ? {} : { tls: true, sni: tlsName }
    const peer = backend && new HttpPeer(backend, { ...plan.peer, ...tls })
    return this.#answer('upstreamPeer', session, ctx, () => peer)
  }

  failToConnect(
    session: Session,
    _peer: HttpPeer,
    error: ProxyError,
    ctx: SimContext,
  ): Awaitable<ProxyError> {
    if (this.#parts.plan.retriesConnect) error.retry = 'yes'
    return this.#answer('failToConnect', session, ctx, () => error)
  }

  connectedToUpstream(
    session: Session,
    reused: boolean,
    peer: HttpPeer,
    digest: ConnectionDigest,
    ctx: SimContext,
  ): Awaitable<void> {
    if (!reused) this.#parts.onConnected(peer.address, digest.localAddress)
    // On another attempt the filter sees the body again from its start.
    ctx.requestPieces = []
    this.#parts.ledger.taken(idOf(session), digest.localAddress, digest)
    return this.#answer('connectedToUpstream', session, ctx, () => undefined)
  }

  upstreamRequestFilter(
    session: Session,
    request: RequestHeader,
    ctx: SimContext,
  ): Awaitable<void> {
    if (this.#random.chance(this.#parts.plan.rechunkShare)) request.removeHeader('Content-Length')
    return this.#answer('upstreamRequestFilter', session, ctx, () => undefined)
  }

  requestBodyFilter(
    session: Session,
    body: Buffer | undefined,
    _isEnd: boolean,
    ctx: SimContext,
  ): Awaitable<BodyVerdict> {
    const { requestBody } = this.#parts.plan
    // Those of this attempt, also when it is over by the time that the filter gets to work.
    const { requestPieces } = ctx
    // What is waited for first: the piece must stay as it is until then.
    return this.#answer('requestBodyFilter', session, ctx, () =>
      filter(requestBody, body, requestPieces),
    )
  }

  upstreamResponseFilter(
    session: Session,
    _response: ResponseHeader,
    ctx: SimContext,
  ): Awaitable<void> {
    return this.#answer('upstreamResponseFilter', session, ctx, () => undefined)
  }

  responseFilter(session: Session, response: ResponseHeader, ctx: SimContext): Awaitable<void> {
    const isFinal = response.status >= 200
    if (isFinal && this.#random.chance(this.#parts.plan.rechunkShare)) {
      response.removeHeader('Content-Length')
    }
    if (isFinal && this.#random.chance(0.02)) session.closeAfterResponse()
    return this.#answer('responseFilter', session, ctx, () => undefined)
  }

  responseBodyFilter(
    session: Session,
    body: Buffer | undefined,
    _isEnd: boolean,
    ctx: SimContext,
  ): Awaitable<BodyVerdict> {
    const { responseBody } = this.#parts.plan
    return this.#answer('responseBodyFilter', session, ctx, () =>
      filter(responseBody, body, ctx.responsePieces),
    )
  }

  responseTrailerFilter(
    session: Session,
    _trailers: HeaderMap,
    ctx: SimContext,
  ): Awaitable<undefined> {
    return this.#answer('responseTrailerFilter', session, ctx, () => undefined)
  }

  /** As often as the limit allows, where doing a request twice is doing it once. */
  errorWhileProxy(session: Session, _peer: HttpPeer, error: ProxyError): ProxyError {
    if (!NOT_IDEMPOTENT.has(session.reqHeader.method)) error.retry = 'yes'
    return error
  }

  failToProxy(
    session: Session,
    _error: ProxyError,
    ctx: SimContext,
  ): Awaitable<FailToProxyVerdict | undefined> {
    const kind = this.#random.next()
    if (kind < 0.5) return this.#answer('failToProxy', session, ctx, () => undefined)
    if (kind < 0.8) return this.#answer('failToProxy', session, ctx, () => ({ body: 'sorry' }))
    return this.#answer('failToProxy', session, ctx, () => {
      if (!session.responseWritten) this.#respond(session, 503)
      return undefined
    })
  }

  logging(session: Session, _error: ProxyError | undefined, ctx: SimContext): Awaitable<void> {
    return this.#answer('logging', session, ctx, () => undefined)
  }

  #respond(session: Session, status: number): void {
    const id = idOf(session)
    this.#parts.ledger.ownAnswers.set(id, status)
    session.respond(status, { headers: { 'X-Own': id }, ...(status !== 204 && { body: 'own' }) })
  }

  /** Does what `act` does, as late as the plan says. */
  #answer<T>(name: HookName, session: Session, ctx: SimContext, act: () => T): Awaitable<T> {
    const { plan, ledger, world } = this.#parts
    const drawn = plan.hooks[name]
    const kind = drawn === 'mixed' ? this.#random.pick(KINDS) : drawn
    const finish = (): T => {
      if (ctx.throwsIn === name) {
        ledger.thrown.add(idOf(session))
        throw new Error(`${name} throws`)
      }
      return act()
    }
    if (kind === 'promise') return Promise.resolve().then(finish)
    if (kind === 'sleep') return world.sleep(this.#random.int(0, 60)).then(finish)
    return finish()
  }
}

/** Passes everything on, bodies as copies. */
class Copier implements HttpModule {
  requestHeaderFilter(): Promise<void> {
    return Promise.resolve()
  }

  requestBodyFilter(body: Buffer | undefined): BodyVerdict {
    return body && Buffer.from(body)
  }

  responseBodyFilter(body: Buffer | undefined): BodyVerdict {
    return body && Uint8Array.from(body)
  }
}

function addCopier(modules: HttpModules): void {
  modules.addModule({ module: Copier, init: () => new Copier() })
}

function idOf(session: Session): string {
  return idIn(session.reqHeader.target)
}

/** What a filter makes of a piece, or of the end of the body. */
function filter(kind: BodyFilter, piece: Buffer | undefined, kept: Buffer[]): BodyVerdict {
  switch (kind) {
    case 'copy':
      return piece && Uint8Array.from(piece)
    case 'flip':
      return piece && flip(piece)
    case 'gather': {
      if (piece !== undefined) kept.push(Buffer.from(piece))
      else return Buffer.concat(kept.splice(0))
      return null
    }
    default:
      return undefined
  }
}

function flip(bytes: Buffer): Buffer {
  const flipped = Buffer.from(bytes)
  for (let index = 0; index < flipped.length; index++) flipped[index]! ^= 0xff
  return flipped
}

const KINDS = ['sync', 'promise', 'sleep'] as const
const NOT_IDEMPOTENT: ReadonlySet<string> = new Set(['POST', 'PATCH'])
