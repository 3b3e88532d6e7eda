/** An upstream that speaks HTTP/2 by `node:http2`, on any network. */
import { performServerHandshake } from 'node:http2'
import type {
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
  SessionOptions,
} from 'node:http2'
import { parseSocketAddress } from '../../src/transport/index.js'
import type { Listener, Network } from '../../src/transport/index.js'

/** Answers one request. */
export type H2Answer = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  raw: string[],
) => void

/** Listens from its construction until it is closed. */
export class H2Upstream {
  /** Every session that was accepted, in order. */
  readonly sessions: ServerHttp2Session[] = []
  /** Every request, in order. */
  readonly requests: { readonly headers: IncomingHttpHeaders; readonly raw: string[] }[] = []
  /** Streams that are open now, and the most that were at once on one session. */
  open = 0
  answer: H2Answer
  readonly #listener: Promise<Listener>

  constructor(network: Network, address: string, answer: H2Answer, options: SessionOptions = {}) {
    this.answer = answer
    this.#listener = network.listen(parseSocketAddress(address), {}, (connection) => {
      connection.handler = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
      const session = performServerHandshake(connection.takeDuplex(), options)
      this.sessions.push(session)
      session.on('error', () => {})
      session.on('stream', ((
        stream: ServerHttp2Stream,
        headers: IncomingHttpHeaders,
        _flags: number,
        raw: string[],
      ) => {
        stream.on('error', () => {})
        this.open++
        stream.on('close', () => this.open--)
        this.requests.push({ headers, raw })
        this.answer(stream, headers, raw)
      }) as () => void)
    })
  }

  /** Sessions that are open now. */
  get openSessions(): number {
    return this.sessions.filter(({ destroyed }) => !destroyed).length
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.destroy()
    await (await this.#listener).close()
  }
}
