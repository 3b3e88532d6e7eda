/** One end of a loopback connection that speaks bytes, for tests that decide each byte themselves. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { readMessage } from './raw-message.js'
import type { RawMessage } from './raw-message.js'

/** A client or a server side of one TCP connection. Reads at once unless told otherwise. */
export class RawPeer {
  readonly socket: Socket
  /** Each chunk that came, in order. */
  readonly chunks: Buffer[] = []
  /** Bytes that came. */
  bytes = 0
  /** The other side sent its FIN. */
  ended = false
  closed = false
  /** The code of the error that ended the connection, such as `ECONNRESET`; empty for none. */
  errorCode = ''
  /** Whether what comes is kept; off for large bodies, which are only counted. */
  keepsBytes = true
  readonly #waiting = new Set<() => void>()
  /** Where the next message starts in what came. */
  #cursor = 0

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      if (this.keepsBytes) this.chunks.push(chunk)
      this.#wake()
    })
    socket.on('end', () => {
      this.ended = true
      this.#wake()
    })
    socket.on('drain', () => {
      this.#wake()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message
    })
    socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
  }

  /** Connects to a port of the loopback interface. */
  static async connect(port: number): Promise<RawPeer> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
    const peer = new RawPeer(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return peer
  }

  /** All that came, as latin1 text. */
  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  /** What came and is not part of a message that was read. */
  get rest(): string {
    return this.text.slice(this.#cursor)
  }

  /** Sends latin1 text or bytes in one write. */
  send(data: string | Buffer): void {
    if (typeof data === 'string') this.socket.write(data, 'latin1')
    else this.socket.write(data)
  }

  /** Sends bytes and resolves when the kernel has taken them, or the connection is gone. */
  async sendAll(data: Buffer): Promise<void> {
    if (!this.socket.write(data))
      await this.until(() => this.closed || !this.socket.writableNeedDrain)
  }

  /** Ends our direction (FIN). */
  end(data?: string): void {
    if (data !== undefined) this.send(data)
    this.socket.end()
  }

  /** Closes with a reset (RST). */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Closes both directions now. */
  destroy(): void {
    this.socket.destroy()
  }

  /** The next whole request. */
  request(): Promise<RawMessage> {
    return this.#message('')
  }

  /** The next whole response, interim ones included. @param method of the request; HEAD has no body. */
  response(method: string = 'GET'): Promise<RawMessage> {
    return this.#message(method)
  }

  /** Resolves when `text` has come. */
  untilText(text: string): Promise<void> {
    return this.until(() => this.text.includes(text), JSON.stringify(text))
  }

  /** Resolves when the other side has ended its direction, or all. */
  untilEnded(): Promise<void> {
    return this.until(() => this.ended || this.closed, 'the end')
  }

  /** Resolves when the connection is closed, whoever did it. */
  untilClosed(): Promise<void> {
    return this.until(() => this.closed, 'the close')
  }

  /** Resolves when `condition` holds; looked at after every event. */
  async until(condition: () => boolean, what: string = 'a condition'): Promise<void> {
    const guard = new Guard(
      () => `waited in vain for ${what}; came: ${JSON.stringify(this.#tail())}`,
    )
    try {
      while (!condition()) {
        const woken = new Promise<void>((resolve) => {
          this.#waiting.add(resolve)
        })
        await Promise.race([woken, guard.expired])
      }
    } finally {
      guard.clear()
    }
  }

  async #message(method: string): Promise<RawMessage> {
    const read = (): RawMessage | null =>
      readMessage(this.text, this.#cursor, this.ended || this.closed, method)
    await this.until(() => read() !== null || this.ended || this.closed, 'a whole message')
    const message = read()
    if (message === null) throw new Error(`ended before a whole message: ${this.#tail()}`)
    this.#cursor = message.end
    return message
  }

  #tail(): string {
    const state = `${this.ended ? ' [ended]' : ''}${this.closed ? ' [closed]' : ''}${this.errorCode}`
    return this.text.slice(-500) + state
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}

/** Turns a wait that would hang into a failure that says what was waited for. */
export class Guard {
  readonly expired: Promise<never>
  readonly #timer: NodeJS.Timeout

  constructor(describe: () => string) {
    let fail: (error: Error) => void
    this.expired = new Promise<never>((_resolve, reject) => {
      fail = reject
    })
    this.expired.catch(() => undefined)
    this.#timer = setTimeout(() => {
      fail(new Error(describe()))
    }, GUARD_MS)
  }

  clear(): void {
    clearTimeout(this.#timer)
  }
}

/** Far longer than any wait takes, also on a busy machine. */
const GUARD_MS = 5_000
