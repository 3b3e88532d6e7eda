/** A client that sends bytes as they are, and keeps all that comes back. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { readByGrammar } from './grammar.js'

/** A response as it came. */
export interface RawResponse {
  readonly status: number
  /** Names in lower case. */
  readonly fields: readonly (readonly [string, string])[]
  readonly body: string
}

/** One TCP connection to 127.0.0.1. */
export class RawClient {
  /** All bytes that came, one character each. */
  text = ''
  /** Whether the peer has ended its direction, or the connection is gone. */
  ended = false
  readonly #socket: Socket
  #wake: (() => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (data) => {
      this.text += data.toString('latin1')
      this.#wake?.()
    })
    const end = (): void => {
      this.ended = true
      this.#wake?.()
    }
    socket.on('end', end)
    socket.on('close', end)
    socket.on('error', end)
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  /** Ends our direction. */
  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Breaks the connection, as a crashed client does. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Waits until `holds`, which is asked after every event; gives up after {@link PATIENCE_MS}. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const waited = { tooLong: false }
    const patience = setTimeout(() => {
      waited.tooLong = true
      this.#wake?.()
    }, PATIENCE_MS)
    while (!holds() && !waited.tooLong) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    clearTimeout(patience)
    this.#wake = null
    if (holds()) return
    throw new Error(`waited in vain for ${what}; got ${JSON.stringify(this.text.slice(0, 200))}`)
  }

  /** The complete final responses so far, to requests with `methods` (GET where the list ends). */
  responses(methods: readonly string[] = []): RawResponse[] {
    const found: RawResponse[] = []
    let at = 0
    for (;;) {
      const method = methods[found.length] ?? 'GET'
      const message = readByGrammar(this.text, at, (start) => {
        const status = statusOf(start)
        const isBodyless = method === 'HEAD' || status < 200 || status === 204 || status === 304
        return isBodyless ? 'none' : 'framed'
      })
      if (message === null) return found
      const { start, fields, body, end } = message
      const isFramed = fields.some(
        ([name]) => name === 'content-length' || name === 'transfer-encoding',
      )
      if (!isFramed && end === this.text.length && body !== '' && !this.ended) return found
      at = end
      const status = statusOf(start)
      if (status >= 200) found.push({ status, fields, body })
      if (at === this.text.length) return found
    }
  }
}

function statusOf(start: string): number {
  return Number(start.slice(9, 12))
}

/** Long enough for a loaded machine; only a test that fails waits this long. */
const PATIENCE_MS = 10_000
