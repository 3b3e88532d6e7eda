/** `ModuleSession`: a client's request as its modules let it be seen, and answered. */
import { toProxyError } from '../error/index.js'
import type { ProxyError } from '../error/index.js'
import type { HeaderMap, RequestHeader, ResponseHeader } from '../http/index.js'
import { CHUNKED, TUNNEL } from '../protocols/index.js'
import type { BodyLength } from '../protocols/index.js'
import type { DownstreamHandler, DownstreamSession, TunnelEnd } from '../session/index.js'
import type { ConnectionDigest } from '../transport/index.js'
import { filterEnd, filterPiece } from './body-chain.js'
import type { BodyFilter } from './body-chain.js'
import type { HttpModule, HttpModuleBuilder } from './http-module.js'
import { ModuleContext } from './http-modules.js'

/** A session around that of the connection. Tunnels and interim responses go by the modules. */
export class ModuleSession implements DownstreamSession, DownstreamHandler {
  handler: DownstreamHandler | null = null
  readonly modules: ModuleContext
  readonly #session: DownstreamSession
  readonly #requestFilters: readonly BodyFilter[]
  /** Whose filters see the response; nobody's once one has failed, so that this can be told. */
  #responders: readonly HttpModule[]
  #responseFilters: readonly BodyFilter[]

  constructor(session: DownstreamSession, builders: readonly HttpModuleBuilder[]) {
    this.#session = session
    this.modules = new ModuleContext(builders)
    const { all } = this.modules
    this.#requestFilters = bodyFilters(all, 'requestBodyFilter')
    this.#responders = all
    this.#responseFilters = bodyFilters(all, 'responseBodyFilter')
    session.handler = this
  }

  /** Has the modules see the head of the request. @throws whatever one throws. */
  filterRequest(): void | Promise<void> {
    return filterHead(this.modules.all, this.header, 0)
  }

  // What comes from the client

  onRequestData(buffer: Buffer, from: number, to: number): void {
    if (this.#requestFilters.length === 0) {
      this.handler?.onRequestData(buffer, from, to)
      return
    }
    this.#guardRequest(() => {
      const piece = filterPiece(this.#requestFilters, buffer.subarray(from, to))
      this.#pass(piece)
    })
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#guardRequest(() => {
      this.#pass(filterEnd(this.#requestFilters))
      this.handler?.onRequestEnd(trailers)
    })
  }

  onRequestReadEnd(): void {
    this.handler?.onRequestReadEnd()
  }

  onDownstreamDrain(): void {
    this.handler?.onDownstreamDrain()
  }

  onDownstreamError(error: ProxyError): void {
    const { handler } = this
    this.handler = null
    handler?.onDownstreamError(error)
  }

  #pass(piece: Buffer | null): void {
    if (piece !== null && piece.length > 0) this.handler?.onRequestData(piece, 0, piece.length)
  }

  /** A body that a module cannot read is as one that the codec cannot read. */
  #guardRequest(filter: () => void): void {
    try {
      filter()
    } catch (thrown) {
      this.onDownstreamError(toProxyError(thrown, 'PGR_HOOK_FAILED'))
    }
  }

  // What goes to the client

  writeHeader(header: ResponseHeader, bodyLength: BodyLength): void {
    if (bodyLength === TUNNEL) {
      this.#session.writeHeader(header, bodyLength)
      return
    }
    const hadLength = hasLength(header)
    this.#guardResponse((responders) => {
      for (const module of responders) module.responseHeaderFilter?.(header)
    })
    const lostLength = hadLength && !hasLength(header)
    this.#session.writeHeader(header, lostLength ? CHUNKED : bodyLength)
  }

  writeBody(buffer: Buffer, from: number, to: number): boolean {
    if (this.#responseFilters.length === 0) return this.#session.writeBody(buffer, from, to)
    const piece = this.#guardResponse(() =>
      filterPiece(this.#responseFilters, buffer.subarray(from, to)),
    )
    return piece === null || this.#session.writeBody(piece, 0, piece.length)
  }

  writeEnd(trailers: HeaderMap | null): void {
    let left = trailers
    this.#guardResponse((responders) => {
      this.#append(filterEnd(this.#responseFilters))
      for (const module of responders) {
        const bytes = left && module.responseTrailerFilter?.(left)
        if (!bytes) continue
        left = null
        this.#append(Buffer.from(bytes))
      }
    })
    this.#session.writeEnd(left)
  }

  #append(bytes: Buffer | null): void {
    if (bytes !== null) this.#session.writeBody(bytes, 0, bytes.length)
  }

  #guardResponse<T>(filter: (responders: readonly HttpModule[]) => T): T {
    try {
      return filter(this.#responders)
    } catch (thrown) {
      this.#responders = []
      this.#responseFilters = []
      throw thrown
    }
  }

  // The rest is the session's

  get header(): RequestHeader {
    return this.#session.header
  }

  get bodyLength(): BodyLength {
    return this.#session.bodyLength
  }

  get upgrade(): string | null {
    return this.#session.upgrade
  }

  get acceptsTrailers(): boolean {
    return this.#session.acceptsTrailers
  }

  get digest(): ConnectionDigest {
    return this.#session.digest
  }

  get bodyDone(): boolean {
    return this.#session.bodyDone
  }

  get headerWritten(): boolean {
    return this.#session.headerWritten
  }

  get responseDone(): boolean {
    return this.#session.responseDone
  }

  get bodyBytesWritten(): number {
    return this.#session.bodyBytesWritten
  }

  get bodyBytesRead(): number {
    return this.#session.bodyBytesRead
  }

  get keepAlive(): boolean {
    return this.#session.keepAlive
  }

  set keepAlive(keepAlive: boolean) {
    this.#session.keepAlive = keepAlive
  }

  readBody(): boolean {
    return this.#session.readBody()
  }

  pauseBody(): void {
    this.#session.pauseBody()
  }

  retain(): void {
    this.#session.retain()
  }

  writeInterim(header: ResponseHeader): void {
    this.#session.writeInterim(header)
  }

  startTunnel(): TunnelEnd {
    return this.#session.startTunnel()
  }

  flush(): void {
    this.#session.flush()
  }

  finish(): void {
    this.#session.finish()
  }

  abort(): void {
    this.#session.abort()
  }
}

function hasLength({ headers }: ResponseHeader): boolean {
  return headers.contentLength !== undefined
}

/** Goes on without a wait where a module made none. */
function filterHead(
  modules: readonly HttpModule[],
  header: RequestHeader,
  from: number,
): void | Promise<void> {
  for (let at = from; at < modules.length; at++) {
    const wait = modules[at]!.requestHeaderFilter?.(header)
    if (wait) return wait.then(() => filterHead(modules, header, at + 1))
  }
}

function bodyFilters(
  modules: readonly HttpModule[],
  name: 'requestBodyFilter' | 'responseBodyFilter',
): BodyFilter[] {
  return modules.flatMap((module) => module[name]?.bind(module) ?? [])
}
