/** A tunnel through an HTTP proxy: `CONNECT` and its answer (RFC 9110 §9.3.6). */
import { ProxyError, toProxyError } from '../error/index.js'
import { RequestHeader } from '../http/index.js'
import type { ResponseHeader } from '../http/index.js'
import {
  HeadReader,
  MAX_INTERIM_RESPONSES,
  RESPONSE_SECTION_LIMITS,
  parseResponseHead,
  writeRequestHead,
} from '../protocols/index.js'
import type { ResponseHead } from '../protocols/index.js'
import type { Connection, ConnectionHandler } from './connection.js'

/** An HTTP proxy that leads to a peer. */
export interface ConnectProxyOptions {
  /** `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`. */
  readonly address: string
  /** Fields of the request, such as `Proxy-Authorization`. Default: none besides `Host`. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Asks the proxy at the other end of `connection` for a tunnel to `target`. Resolves when there is
 * one; the connection is paused, and as if nothing had been read of it. Rejects when there is none
 * or when `signal` fires; then it is to be destroyed.
 * @throws {@link ProxyError} (rejects) `PGR_CONNECT_PROXY_FAILED` with the answer, and
 * `PGR_OPTION_INVALID` for headers that cannot stand in a request.
 */
export function openTunnel(
  connection: Connection,
  target: string,
  { address, headers = {} }: ConnectProxyOptions,
  signal: AbortSignal,
): Promise<void> {
  const request = new RequestHeader('CONNECT', target)
  request.headers.set('Host', target)
  for (const [name, value] of Object.entries(headers)) request.headers.set(name, value)
  return new Promise((resolve, reject) => {
    const tunnel = new ConnectTunnel(
      connection,
      `CONNECT ${target} through ${address}`,
      (error) => {
        signal.removeEventListener('abort', onAbort)
        if (error === null) resolve()
        else reject(error)
      },
    )
    const onAbort = (): void => {
      tunnel.giveUp(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort)
    tunnel.start(writeRequestHead(request, 0, 'default'))
  })
}

class ConnectTunnel implements ConnectionHandler {
  readonly #connection: Connection
  readonly #what: string
  readonly #done: (error: Error | null) => void
  /** Who is told of the connection's end while nobody has it. */
  readonly #nobody: ConnectionHandler
  readonly #reader = new HeadReader<ResponseHead>(RESPONSE_SECTION_LIMITS, (head, start, to) =>
    parseResponseHead(head, start, to, 'CONNECT'),
  )
  #interims = 0
  #isOver = false

  constructor(connection: Connection, what: string, done: (error: Error | null) => void) {
    this.#connection = connection
    this.#what = what
    this.#done = done
    this.#nobody = connection.handler
  }

  start(request: string): void {
    this.#connection.handler = this
    this.#connection.write(request)
    this.#connection.resume()
  }

  giveUp(reason: Error): void {
    this.#end(reason)
  }

  onData(buffer: Buffer, length: number): void {
    try {
      for (let at = 0; !this.#isOver && at < length; at = this.#reader.next) {
        const head = this.#reader.read(buffer, at, length)
        if (head !== null) this.#answered(head.header, length - this.#reader.next)
      }
    } catch (thrown) {
      const cause = toProxyError(thrown, 'PGR_CONNECT_PROXY_FAILED')
      this.#end(this.#failed(cause.message, cause))
    }
  }

  onEnd(): void {
    this.#end(this.#failed('the proxy closed the connection'))
  }

  onDrain(): void {
    // The request is sent; its answer is what we wait for.
  }

  onClose(error: Error | null): void {
    this.#end(this.#failed(error?.message ?? 'the proxy closed the connection', error))
  }

  #answered(header: ResponseHeader, restBytes: number): void {
    const { status, reason } = header
    if (status < 200) {
      if (++this.#interims > MAX_INTERIM_RESPONSES) throw new Error('too many 1xx')
    } else if (status >= 300) {
      const why = header.headers.get('proxy-status')?.slice(0, MAX_SHOWN)
      const detail = why === undefined ? '' : `, proxy-status: ${JSON.stringify(why)}`
      this.#end(this.#failed(`${status} ${reason.slice(0, MAX_SHOWN)}`.trim() + detail))
    } else if (restBytes > 0) {
      // Nobody has been asked anything yet.
      this.#end(this.#failed('bytes came behind the answer'))
    } else this.#end(null)
  }

  #failed(text: string, cause: Error | null = null): ProxyError {
    const message = `${this.#what}: ${text}`
    return new ProxyError('PGR_CONNECT_PROXY_FAILED', message, cause ? { cause } : {})
  }

  #end(error: Error | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#connection.pause()
    this.#connection.handler = this.#nobody
    this.#done(error)
  }
}

/** Text from outside is shown short. */
const MAX_SHOWN = 100
