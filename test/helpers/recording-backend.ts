/** An upstream that takes anything for a request, and writes down the bytes that it got. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** A request as it came. */
export interface RecordedRequest {
  /** All its bytes, one character each. */
  readonly raw: string
  readonly method: string
  readonly path: string
  readonly body: string
  /** Whether the connection ended before the request did. */
  readonly partial: boolean
}

/** Bytes to answer with in place of the usual answer. */
export interface RawAnswer {
  readonly text: string
  /** Whether the backend closes after them. */
  readonly close: boolean
}

/**
 * Answers every request with 200 and its body (`OK` when it has none). It frames requests as widely
 * as it can and refuses nothing, so that every refusal that a client sees is the proxy's own.
 */
export class RecordingBackend {
  /** What came, in order. */
  readonly requests: RecordedRequest[] = []
  /** Connections that are open now. */
  readonly sockets = new Set<Socket>()
  readonly #server: Server
  readonly #answer: (path: string) => RawAnswer | undefined

  private constructor(answer: (path: string) => RawAnswer | undefined) {
    this.#answer = answer
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#serve(socket)
    })
  }

  /** Starts one on a free port of 127.0.0.1. */
  static async start(
    answer: (path: string) => RawAnswer | undefined = () => undefined,
  ): Promise<RecordingBackend> {
    const backend = new RecordingBackend(answer)
    backend.#server.listen(0, '127.0.0.1')
    await once(backend.#server, 'listening')
    return backend
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Closes the listener and all connections. */
  async stop(): Promise<void> {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #serve(socket: Socket): void {
    this.sockets.add(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('data', (data) => {
      text += data.toString('latin1')
      for (;;) {
        const request = takeRequest(text)
        if (request === null) return
        text = text.slice(request.raw.length)
        this.requests.push(request)
        this.#respond(socket, request)
      }
    })
    socket.on('end', () => {
      if (text !== '') {
        this.requests.push({ raw: text, method: '', path: '', body: '', partial: true })
      }
      socket.end()
    })
  }

  #respond(socket: Socket, { method, path, body }: RecordedRequest): void {
    const raw = this.#answer(path)
    if (raw !== undefined) {
      socket.write(raw.text, 'latin1')
      if (raw.close) socket.end()
      return
    }
    const content = body === '' ? 'OK' : body
    const shown = method === 'HEAD' ? '' : content
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${shown}`, 'latin1')
  }
}

/** The first request in `text`, read as leniently as can be, or `null` when it is not complete. */
export function takeRequest(text: string): RecordedRequest | null {
  const head = /^(?:\r?\n)*([^\n]*\n(?:[^\r\n][^\n]*\n|\r[^\n]+\n)*)\r?\n/.exec(text)
  if (head === null) return null
  const [whole, lines = ''] = head
  const [method = '', target = ''] = lines.split(/[ \r\n]/, 2)
  const framed = /^transfer-encoding[ \t]*:.*chunked/im.test(lines)
    ? takeChunks(text, whole.length)
    : takeLength(text, whole.length, /^content-length[ \t]*:[ \t]*\+?(\d+)/im.exec(lines)?.[1])
  if (framed === null) return null
  const path = target.replace(/^https?:\/\/[^/?]*/i, '')
  return { raw: text.slice(0, framed.end), method, path, body: framed.body, partial: false }
}

interface Framed {
  readonly end: number
  readonly body: string
}

function takeLength(text: string, from: number, digits: string | undefined): Framed | null {
  const end = from + Number(digits ?? 0)
  return end > text.length ? null : { end, body: text.slice(from, end) }
}

function takeChunks(text: string, from: number): Framed | null {
  let body = ''
  let at = from
  for (;;) {
    const lineEnd = text.indexOf('\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(text.slice(at, lineEnd).trim(), 16)
    at = lineEnd + 1
    if (!(size > 0)) break
    if (at + size + 2 > text.length) return null
    body += text.slice(at, at + size)
    at += size + 2
  }
  for (;;) {
    const lineEnd = text.indexOf('\n', at)
    if (lineEnd < 0) return null
    const line = text.slice(at, lineEnd).trim()
    at = lineEnd + 1
    if (line === '') return { end: at, body }
  }
}
