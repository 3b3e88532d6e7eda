/** Moves the bytes of a tunnel both ways, through the body filters, until both directions have ended. */
import { ProxyError } from '../error/index.js'
import type { ErrorCode } from '../error/index.js'
import type { BodyVerdict } from '../modules/index.js'
import { chosen } from '../modules/internal.js'
import type { TunnelEnd } from '../session/index.js'
import type { Deadline, DeadlineWheel } from '../time/index.js'
import { isPromise } from './hooks.js'
import type { Awaitable } from './proxy-http.js'
import { hookError } from './relay.js'

/** A body filter of one request. */
export type TunnelFilter = (
  piece: Buffer | undefined,
  endOfStream: boolean,
) => Awaitable<BodyVerdict | void>

/** What a {@link Tunnel} is made of. */
export interface TunnelParts {
  readonly client: TunnelEnd
  readonly upstream: TunnelEnd
  /** Sees what the client sends; `null`: nobody does. */
  readonly requestFilter: TunnelFilter | null
  /** Sees what the upstream sends; `null`: nobody does. */
  readonly responseFilter: TunnelFilter | null
  readonly deadlines: DeadlineWheel
  /** Longest time without a byte in either direction, or with bytes that a side does not take; 0: no limit. */
  readonly timeoutMs: number
  /** Called once: both directions have ended, or the tunnel broke. Then the ends are to be closed. */
  readonly onOver: (error: ProxyError | null) => void
}

/** A tunnel. Each direction ends by itself, and a break of one side breaks the other. */
export class Tunnel {
  readonly #parts: TunnelParts
  readonly #idle: Deadline
  readonly #up: Direction
  readonly #down: Direction
  #over = false

  constructor(parts: TunnelParts) {
    this.#parts = parts
    const { client, upstream, requestFilter, responseFilter, deadlines } = parts
    this.#idle = deadlines.deadline(() => {
      this.fail(new ProxyError('PGR_TUNNEL_TIMEOUT'))
    })
    this.#up = new Direction(this, client, upstream, requestFilter, 'PGR_UPSTREAM_WRITE_TIMEOUT')
    this.#down = new Direction(
      this,
      upstream,
      client,
      responseFilter,
      'PGR_DOWNSTREAM_WRITE_TIMEOUT',
    )
  }

  /** Lets the bytes flow; what the client has sent early goes first. */
  start(): void {
    const { client, upstream } = this.#parts
    this.#listen(client, this.#up, this.#down)
    this.#listen(upstream, this.#down, this.#up)
    this.moved()
    client.resume()
    if (!this.#over) upstream.resume()
  }

  /** Whether nothing is moved any more. */
  get over(): boolean {
    return this.#over
  }

  /** Bytes have come: the tunnel is in use. */
  moved(): void {
    const { timeoutMs } = this.#parts
    if (timeoutMs > 0) this.#idle.set(timeoutMs)
  }

  /** A time-out for a side that does not take what waits for it, not set yet. */
  stallDeadline(code: ErrorCode): Deadline | null {
    const { deadlines, timeoutMs } = this.#parts
    if (timeoutMs === 0) return null
    const stalled = deadlines.deadline(() => {
      this.fail(new ProxyError(code))
    })
    stalled.set(timeoutMs)
    return stalled
  }

  /** A direction has ended, and all of it is with the kernel. */
  directionDone(): void {
    if (this.#up.done && this.#down.done) this.#end(null)
  }

  /** Breaks the tunnel. */
  fail(error: ProxyError): void {
    this.#end(error)
  }

  #listen(end: TunnelEnd, from: Direction, to: Direction): void {
    end.handler = {
      onData: (buffer, start, stop) => {
        from.data(buffer, start, stop)
      },
      onEnd: () => {
        from.end()
      },
      onDrain: () => {
        to.drained()
      },
      onError: (error) => {
        this.fail(error)
      },
    }
  }

  #end(error: ProxyError | null): void {
    if (this.#over) return
    this.#over = true
    const { client, upstream, onOver } = this.#parts
    client.handler = null
    upstream.handler = null
    this.#idle.dispose()
    this.#up.dispose()
    this.#down.dispose()
    onOver(error)
  }
}

/** One direction: stops at its source while its sink is full or the filter is at work. */
class Direction {
  /** Whether the source has ended and the sink has taken all. */
  done = false
  readonly #tunnel: Tunnel
  readonly #source: TunnelEnd
  readonly #sink: TunnelEnd
  readonly #filter: TunnelFilter | null
  /** The failure that stands for a sink that takes nothing. */
  readonly #stallCode: ErrorCode
  #filtering = false
  /** The sink is full. */
  #blocked = false
  /** The sink was told of the end. */
  #ended = false
  #stalled: Deadline | null = null

  constructor(
    tunnel: Tunnel,
    source: TunnelEnd,
    sink: TunnelEnd,
    filter: TunnelFilter | null,
    stallCode: ErrorCode,
  ) {
    this.#tunnel = tunnel
    this.#source = source
    this.#sink = sink
    this.#filter = filter
    this.#stallCode = stallCode
  }

  data(buffer: Buffer, from: number, to: number): void {
    this.#tunnel.moved()
    if (this.#filter === null) {
      this.#write(buffer, from, to)
      return
    }
    const piece = buffer.subarray(from, to)
    this.#run(
      () => this.#filter?.(piece, false),
      (verdict) => {
        this.#writeChosen(verdict, piece)
      },
    )
  }

  end(): void {
    this.#run(
      () => this.#filter?.(undefined, true),
      (verdict) => {
        this.#writeChosen(verdict, null)
        this.#ended = true
        if (this.#sink.end()) this.#finish()
        else this.#watch()
      },
    )
  }

  /** The sink has taken all that was written. */
  drained(): void {
    this.#stalled?.dispose()
    this.#stalled = null
    if (this.#ended) this.#finish()
    else if (this.#blocked) {
      this.#blocked = false
      if (!this.#filtering) this.#source.resume()
    }
  }

  dispose(): void {
    this.#stalled?.dispose()
  }

  #finish(): void {
    if (this.done) return
    this.done = true
    this.#tunnel.directionDone()
  }

  /** Runs the filter, and goes on with what it says, at once or when its promise settles. */
  #run(
    filter: () => Awaitable<BodyVerdict | void>,
    next: (verdict: BodyVerdict | void) => void,
  ): void {
    try {
      const verdict = filter()
      if (!isPromise(verdict)) {
        next(verdict)
        return
      }
      this.#filtering = true
      this.#source.retain()
      this.#source.pause()
      void this.#wait(verdict, next)
    } catch (thrown) {
      this.#tunnel.fail(hookError(thrown))
    }
  }

  async #wait(
    verdict: Promise<BodyVerdict | void>,
    next: (verdict: BodyVerdict | void) => void,
  ): Promise<void> {
    try {
      const result = await verdict
      if (this.#tunnel.over) return
      this.#filtering = false
      next(result)
      if (!this.#blocked && !this.#ended) this.#source.resume()
    } catch (thrown) {
      this.#tunnel.fail(hookError(thrown))
    }
  }

  #writeChosen(verdict: BodyVerdict | void, piece: Buffer | null): void {
    const out = chosen(verdict, piece)
    if (out !== null && out.length > 0) this.#write(out, 0, out.length)
  }

  #write(buffer: Buffer, from: number, to: number): void {
    if (this.#sink.write(buffer, from, to)) return
    this.#blocked = true
    this.#source.retain()
    this.#source.pause()
    this.#watch()
  }

  #watch(): void {
    this.#stalled ??= this.#tunnel.stallDeadline(this.#stallCode)
  }
}
