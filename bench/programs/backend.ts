/** An HTTP/1.1 server that costs as little as can be, behind the proxies: `node backend.js LISTEN_PORT`. */
import { REAL_ENVIRONMENT } from '../../src/transport/index.js'
import type { Connection, ConnectionHandler } from '../../src/transport/index.js'
import { HUGE_BODY_BYTES, HUGE_PATH } from '../backend.js'
import { SCENARIOS, SMALL_BODY, isSmall } from '../scenarios.js'

/** What is served at one path. */
class Answer {
  readonly #status: string
  readonly #body: string
  #bytes: string | Buffer = ''

  constructor(status: string, body: string) {
    this.#status = status
    this.#body = body
    this.renew()
  }

  /** Has the answer say what time it is. */
  renew(): void {
    const text = this.#with('keep-alive')
    // Text leaves together with that of other connections, which is worth it while it is short.
    this.#bytes = isSmall(this.#body.length) ? text : Buffer.from(text, 'latin1')
  }

  /** As it goes out while the connection stays. */
  get bytes(): string | Buffer {
    return this.#bytes
  }

  /** As it goes out when the connection ends with it, which it says (RFC 9112 §9.6). */
  get last(): string {
    return this.#with('close')
  }

  #with(connection: string): string {
    return headOf(this.#status, this.#body.length, connection) + this.#body
  }
}

/** As long as one of nginx, like most that proxies see. */
function headOf(status: string, bodyBytes: number, connection: string): string {
  const lines = [
    `HTTP/1.1 ${status}`,
    'Server: backend/1.0',
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: text/plain',
    `Content-Length: ${bodyBytes}`,
    `Connection: ${connection}`,
  ]
  return lines.join('\r\n') + HEAD_END
}

/** Answers the requests of one connection in turn, none of which has a body. */
class BackendConnection implements ConnectionHandler {
  readonly #connection: Connection
  #unread = ''
  /** The last request that came by itself, and its answer: nearly every next one is the same. */
  #request = ''
  #answer = NOT_FOUND
  /** Left of a huge body; nothing is read until it has been sent. */
  #hugeBytes: number | null = null

  constructor(connection: Connection) {
    this.#connection = connection
    connection.handler = this
    connection.resume()
  }

  onData(buffer: Buffer, length: number): void {
    const text = buffer.toString('latin1', 0, length)
    if (text === this.#request && this.#unread === '') {
      this.#connection.write(this.#answer.bytes)
      return
    }
    this.#unread += text
    // A request to a benchmark's backend is short; anything that grows is not one.
    if (this.#unread.length > MAX_UNREAD) this.#connection.destroy()
    else this.#answerAll()
  }

  onEnd(): void {
    this.#connection.end()
  }

  onDrain(): void {
    if (this.#hugeBytes !== null) this.#sendHugeBody(this.#hugeBytes)
  }

  onClose(): void {
    // There is nothing to give back.
  }

  #answerAll(): void {
    for (let end = this.#unread.indexOf(HEAD_END); end >= 0; end = this.#unread.indexOf(HEAD_END)) {
      const request = this.#unread.slice(0, end + HEAD_END.length)
      this.#unread = this.#unread.slice(request.length)
      const path = request.split(' ', 2)[1] ?? ''
      if (path === HUGE_PATH) {
        this.#connection.pause()
        this.#connection.write(headOf('200 OK', HUGE_BODY_BYTES, 'keep-alive'))
        this.#sendHugeBody(HUGE_BODY_BYTES)
        return
      }
      this.#answerOne(request, ANSWERS.get(path) ?? NOT_FOUND)
    }
  }

  #answerOne(request: string, answer: Answer): void {
    if (/^connection: close\r$/im.test(request)) {
      this.#connection.write(answer.last)
      this.#connection.end()
      return
    }
    this.#request = request
    this.#answer = answer
    this.#connection.write(answer.bytes)
  }

  #sendHugeBody(bytes: number): void {
    for (this.#hugeBytes = bytes; this.#hugeBytes > 0;) {
      this.#hugeBytes -= CHUNK.length
      if (!this.#connection.write(CHUNK)) return
    }
    this.#hugeBytes = null
    this.#connection.resume()
    this.#answerAll()
  }
}

const HEAD_END = '\r\n\r\n'
const MAX_UNREAD = 64 * 1024
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const NOT_FOUND = new Answer('404 Not Found', '')
const ANSWERS: ReadonlyMap<string, Answer> = new Map(
  SCENARIOS.map(({ path, bodyBytes }) => {
    const body = isSmall(bodyBytes) ? SMALL_BODY : 'x'.repeat(bodyBytes)
    return [path, new Answer('200 OK', body)]
  }),
)

setInterval(() => {
  for (const answer of ANSWERS.values()) answer.renew()
}, 1_000)

await REAL_ENVIRONMENT.network.listen(
  { kind: 'ip', host: '127.0.0.1', port: Number(process.argv[2]) },
  { backlog: 4096 },
  (connection) => new BackendConnection(connection),
)
