/** `TestPeer`: one end of a connection in the fake world, for tests that decide each byte themselves. */
import { ProxyError, describeThrown } from '../error/index.js'
import type { Connection, ConnectionHandler } from '../transport/index.js'
import { MemoryConnection } from '../transport/internal.js'
import { ByteLog } from './byte-log.js'
import { RawMessageReader } from './raw-message-reader.js'
import type { StreamState } from './raw-message-reader.js'
import type { RawMessage } from './raw-message.js'
import type { WorldHandle } from './world-handle.js'

/** Bytes that may be kept, and how many are. */
export interface ByteAllowance {
  /** The limit. */
  readonly maxKeptBytes: number
  /** Counted up by each peer that shares the allowance. */
  keptBytes: number
}

/** How a peer keeps what comes, and who else is told. */
export interface TestPeerOptions {
  /**
   * Bytes that may be kept, by this peer and by those that share the object; more is an error of
   * the test, which every wait then throws. Default: 64 MiB of its own.
   */
  readonly allowance?: ByteAllowance
  /** Called after each event of the connection. Default: nobody. */
  readonly onChange?: () => void
}

/**
 * A client, or a server's side of one connection. It reads at once, until `pause`. All waits drive
 * the world; each lets `withinMs` of virtual time pass at most, by default none: what is waited for
 * must then come at this very instant, as all does in a network without latency. A wait in vain
 * rejects with an error that says what came in its place.
 */
export class TestPeer {
  /** The connection itself, with its addresses and its counts of bytes. */
  readonly connection: MemoryConnection
  /** Bytes that came, those not kept included. */
  bytes = 0
  /** How many pieces they came in: calls of `onData`. */
  pieces = 0
  /** Whether the other side has sent its FIN. */
  ended = false
  /** Whether the connection is gone, whoever closed it. */
  closed = false
  /** The code of the error that ended the connection, such as `ECONNRESET`; empty for none. */
  errorCode = ''
  /** Whether what comes is kept. Turned off, it is only counted, and no message can be read. */
  keepsBytes = true
  /** Told of each piece; its memory is borrowed and used again after the call. Default: nobody. */
  onBytes: ((piece: Buffer) => void) | null = null
  readonly #world: WorldHandle
  readonly #allowance: ByteAllowance
  readonly #onChange: () => void
  readonly #kept = new ByteLog()
  readonly #messages = new RawMessageReader(this.#kept)

  /**
   * Takes a connection that nobody handles yet, and starts to read from it.
   * @throws {@link ProxyError} `PGR_OPTION_INVALID` when it is none of the world's own network.
   */
  constructor(world: WorldHandle, connection: Connection, options: TestPeerOptions = {}) {
    if (!(connection instanceof MemoryConnection)) {
      throw new ProxyError('PGR_OPTION_INVALID', 'connection: one of world.network is needed')
    }
    this.#world = world
    this.#allowance = options.allowance ?? { maxKeptBytes: DEFAULT_MAX_KEPT_BYTES, keptBytes: 0 }
    this.#onChange = options.onChange ?? NOTHING
    this.connection = connection
    connection.handler = this.#handler()
    connection.resume()
  }

  /** All that came and was kept. It does not change when more comes. Not a copy. */
  get received(): Buffer {
    return this.#kept.slice()
  }

  /** All that came and was kept, as latin1 text. Each call converts it. */
  get text(): string {
    return this.#kept.text()
  }

  /** What came behind the messages that were read, as latin1 text. Each call converts it. */
  get rest(): string {
    return this.#kept.text(this.#messages.cursor)
  }

  /** Bytes that came behind the messages that were read. */
  get restBytes(): number {
    return this.#kept.length - this.#messages.cursor
  }

  /** Whether more can come: `broken` when the connection is gone and no FIN came. */
  get state(): StreamState {
    if (this.ended) return 'ended'
    return this.closed ? 'broken' : 'open'
  }

  /** Sends latin1 text, or a copy of bytes, in one write. After the end it does nothing. */
  send(data: string | Uint8Array): void {
    this.connection.write(typeof data === 'string' ? data : Buffer.from(data))
  }

  /** Sends, and resolves when the network has taken all of it, or the connection is gone. */
  async sendAll(data: string | Uint8Array, withinMs: number = 0): Promise<void> {
    this.send(data)
    const isTaken = (): boolean => this.closed || this.connection.pendingBytes === 0
    await this.until(isTaken, 'the network to take what was sent', withinMs)
  }

  /** Ends our direction (FIN), behind `data` and all that was sent before. Reading goes on. */
  end(data?: string | Uint8Array): void {
    if (data !== undefined) this.send(data)
    this.connection.end()
  }

  /** Closes with a reset (RST). */
  reset(): void {
    this.connection.reset()
  }

  /** Closes both directions now. */
  destroy(): void {
    this.connection.destroy()
  }

  /** Stops reading: what comes fills the buffers of the network, and then holds the sender up. */
  pause(): void {
    this.connection.pause()
  }

  /** Reads again. */
  resume(): void {
    this.connection.resume()
  }

  /** The next whole request. Rejects when the connection ends before, or what came is none. */
  request(withinMs: number = 0): Promise<RawMessage> {
    return this.#message('', withinMs)
  }

  /**
   * The next whole response, each interim one (1xx) by itself. Rejects when the connection ends
   * before, or what came is none.
   * @param method of the request that it answers: the answer to HEAD has no body. Default: `GET`.
   */
  response(method: string = 'GET', withinMs: number = 0): Promise<RawMessage> {
    return this.#message(method, withinMs)
  }

  /**
   * The next message as far as it goes, without waiting: `null` while more must come for it to be
   * whole. One that never will be has a `fault`, is not taken, and comes again each time.
   * @param method of the request that a response answers; empty to read a request.
   */
  nextMessage(method: string): RawMessage | null {
    return this.#messages.next(method, this.state)
  }

  /** Resolves when latin1 `text` has come. */
  untilText(text: string, withinMs: number = 0): Promise<void> {
    let scanned = 0
    const hasCome = (): boolean => {
      const isThere = this.#kept.indexOf(text, scanned) >= 0
      if (!isThere) scanned = Math.max(0, this.#kept.length - text.length)
      return isThere
    }
    return this.until(hasCome, JSON.stringify(text), withinMs)
  }

  /** Resolves when the other side has ended its direction, or the connection is gone. */
  untilEnded(withinMs: number = 0): Promise<void> {
    return this.until(() => this.ended || this.closed, 'the end', withinMs)
  }

  /** Resolves when the connection is closed, whoever did it. */
  untilClosed(withinMs: number = 0): Promise<void> {
    return this.until(() => this.closed, 'the close', withinMs)
  }

  /**
   * Resolves when `condition` holds.
   * @param what it is, for the message of the error. Default: `a condition`.
   */
  async until(
    condition: () => boolean,
    what: string = 'a condition',
    withinMs: number = 0,
  ): Promise<void> {
    try {
      await this.#world.until(condition, what, withinMs)
    } catch (error) {
      const message = describeThrown(error)
      // A fault of the test itself passes as it is; it may be compared by identity.
      if (!message.startsWith(`waited in vain for ${what}`)) throw error
      throw new Error(`${message}\n${this.#describe()}`, { cause: error })
    }
  }

  async #message(method: string, withinMs: number): Promise<RawMessage> {
    let message: RawMessage | null = null
    const hasCome = (): boolean => {
      message ??= this.nextMessage(method)
      return message !== null || this.state !== 'open'
    }
    const what = method === '' ? 'a whole request' : 'a whole response'
    await this.until(hasCome, what, withinMs)
    // The compiler does not see that the closure assigns.
    const read = message as RawMessage | null
    if (read?.complete === true) return read
    const fault = read?.fault ?? `${this.state} before its first byte`
    throw new Error(`waited in vain for ${what}: ${fault}\n${this.#describe()}`)
  }

  #describe(): string {
    const { localAddress, peerAddress } = this.connection.digest
    const facts = [`${this.bytes} bytes came`]
    if (this.ended) facts.push('then the end')
    if (this.closed) facts.push(`closed ${this.errorCode}`.trim())
    const tail = this.#kept.text(Math.max(0, this.#kept.length - MAX_SHOWN))
    return `from ${peerAddress} to ${localAddress}: ${facts.join(', ')}; the last: ${JSON.stringify(tail)}`
  }

  #handler(): ConnectionHandler {
    return {
      onData: (buffer, length) => {
        this.#take(buffer.subarray(0, length))
      },
      onEnd: () => {
        this.ended = true
        this.#onChange()
      },
      onDrain: () => {
        this.#onChange()
      },
      onClose: (error) => {
        this.closed = true
        this.errorCode = error === null ? '' : codeOf(error)
        this.#onChange()
      },
    }
  }

  #take(piece: Buffer): void {
    this.bytes += piece.length
    this.pieces++
    if (this.keepsBytes) this.#keep(piece)
    this.onBytes?.(piece)
    this.#onChange()
  }

  /** What is kept has a limit, so that a test that goes wrong ends with a sentence, not with a kill. */
  #keep(piece: Buffer): void {
    const { maxKeptBytes, keptBytes } = this.#allowance
    if (keptBytes + piece.length <= maxKeptBytes) {
      this.#allowance.keptBytes += piece.length
      this.#kept.append(piece)
      return
    }
    const { localAddress } = this.connection.digest
    const limit = `more than maxKeptBytes (${maxKeptBytes}) came to ${localAddress}`
    this.reset()
    this.#world.fail(new Error(`${limit}: raise it, or turn keepsBytes off`))
  }
}

/** The code of a system error; another error is named by its message. */
function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return code ?? error.message
}

const NOTHING = (): void => {}
/** 64 MiB: more than any test needs that does not count instead. */
export const DEFAULT_MAX_KEPT_BYTES: number = 64 * 1024 * 1024
/** Bytes of the end of what came that an error shows. */
const MAX_SHOWN = 500
