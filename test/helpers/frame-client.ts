/** A client that sends HTTP/2 frames as they are, also those that no library would send (RFC 9113). */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import * as h2 from './h2-frames.js'
import type { Frame } from './h2-frames.js'

/** Error codes. */
export const H2_ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const
/** The fields of a plain GET. */
export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a.example'],
  [':path', '/'],
]

/** One connection that keeps the frames that come. */
export class FrameClient {
  readonly frames: Frame[] = []
  /** Bytes received. */
  bytes = 0
  /** Whether the peer has ended its direction, or the connection is gone. */
  ended = false
  /** Whether pings of the server are answered from now on, those that wait included. */
  #answersPings = false
  #pingsSeen = 0
  readonly #socket: Duplex
  #buffer = Buffer.alloc(0)
  readonly #waiting = new Set<() => void>()

  /** @param socket a connection of any kind, on which nothing has been said yet. */
  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      this.#cut()
      this.#answerPings()
      this.#wake()
    })
    const end = (): void => {
      this.ended = true
      this.#wake()
    }
    socket.on('end', end)
    socket.on('close', end)
    socket.on('error', end)
  }

  /** Connects to 127.0.0.1, and says nothing. */
  static async open(port: number): Promise<FrameClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    await once(socket, 'connect')
    return new FrameClient(socket)
  }

  /** Connects, and exchanges prefaces. */
  static async connect(port: number, own: Uint8Array = h2.settings()): Promise<FrameClient> {
    const client = await FrameClient.open(port)
    client.begin(own)
    await client.until('the SETTINGS of the server', () => client.find(h2.SETTINGS) !== undefined)
    return client
  }

  /** Sends the preface, and takes note of the server's settings without having seen them. */
  begin(own: Uint8Array = h2.settings()): void {
    this.write(h2.PREFACE)
    this.write(own)
    this.send(h2.SETTINGS, h2.ACK, 0)
  }

  /** Sends bytes. Returns whether the kernel has taken them. */
  write(bytes: Uint8Array | string): boolean {
    return this.#socket.write(Buffer.from(bytes as string, 'latin1'))
  }

  /** Sends one frame. */
  send(
    type: number,
    flags: number,
    stream: number,
    payload: Uint8Array = new Uint8Array(),
  ): boolean {
    return this.write(h2.frame(type, flags, stream, payload))
  }

  /** Sends a request head. */
  request(
    stream: number,
    fields: readonly (readonly [string, string])[] = GET,
    flags: number = h2.END_STREAM,
  ): void {
    this.send(h2.HEADERS, h2.END_HEADERS | flags, stream, h2.fields(fields))
  }

  /** The first frame of `type`, on `stream` where that is given. */
  find(type: number, stream?: number): Frame | undefined {
    return this.frames.find(
      (each) => each.type === type && (stream === undefined || each.stream === stream),
    )
  }

  /** The error code of the RST_STREAM on `stream`. */
  resetOf(stream: number): number | undefined {
    return this.find(h2.RST_STREAM, stream)?.payload.readUInt32BE(0)
  }

  /** The error code of the last GOAWAY. */
  get goawayCode(): number | undefined {
    return this.frames.findLast((each) => each.type === h2.GOAWAY)?.payload.readUInt32BE(4)
  }

  /** The body of `stream` so far. */
  body(stream: number): Buffer {
    const pieces = this.frames.filter((each) => each.type === h2.DATA && each.stream === stream)
    return Buffer.concat(pieces.map(({ payload }) => payload))
  }

  /** Whether `stream` was ended by the server, and not reset. */
  isEnded(stream: number): boolean {
    return this.frames.some(
      (each) =>
        (each.type === h2.DATA || each.type === h2.HEADERS) &&
        each.stream === stream &&
        (each.flags & h2.END_STREAM) !== 0,
    )
  }

  /** Resolves once a ping has made its round trip: all that was sent before has been read. */
  async roundTrip(): Promise<void> {
    const payload = Buffer.from(String(++this.#pings).padStart(8, '0'))
    this.send(h2.PING, 0, 0, payload)
    await this.until('a ping to come back', () =>
      this.frames.some((each) => each.type === h2.PING && each.payload.equals(payload)),
    )
  }

  /** Waits until `holds`, which is asked after every read; gives up after {@link PATIENCE_MS}. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const deadline = setTimeout(() => {
      this.#tooLong = true
      this.#wake()
    }, PATIENCE_MS)
    while (!holds() && !this.#tooLong) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve)
      })
    }
    clearTimeout(deadline)
    if (holds()) return
    const got = this.frames.map(({ type, flags, stream }) => `${type}/${flags}/${stream}`).join(' ')
    throw new Error(`waited in vain for ${what}; got ${got}${this.ended ? ', end' : ''}`)
  }

  /** Resolves when the kernel has taken all that was written, or the connection is gone. */
  async drained(): Promise<void> {
    if (this.#socket.writableLength === 0 || this.#socket.destroyed) return
    await new Promise<void>((resolve) => {
      // 'drain' tells only of writes that were too much; the callback comes when the socket is gone, too.
      this.#socket.write('', () => {
        resolve()
      })
    })
  }

  set answersPings(answers: boolean) {
    this.#answersPings = answers
    this.#answerPings()
  }

  #answerPings(): void {
    if (!this.#answersPings) return
    const pings = this.frames.filter(
      ({ type, flags }) => type === h2.PING && (flags & h2.ACK) === 0,
    )
    for (const { payload } of pings.slice(this.#pingsSeen)) this.send(h2.PING, h2.ACK, 0, payload)
    this.#pingsSeen = pings.length
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #pings = 0
  #tooLong = false

  #cut(): void {
    const frames = h2.framesOf(this.#buffer)
    const bytes = frames.reduce((sum, { payload }) => sum + 9 + payload.length, 0)
    // What is kept must not keep the whole of what was read.
    for (const each of frames) this.frames.push({ ...each, payload: Buffer.from(each.payload) })
    this.#buffer = this.#buffer.subarray(bytes)
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}

/** Long enough for a loaded machine; only a test that fails waits this long. */
const PATIENCE_MS = 10_000
