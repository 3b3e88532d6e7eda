/** An upstream that answers with anything, at any time, in any pieces, or not at all. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { readCanonicalRequest } from '../helpers/canonical-request.js'
import { takeRequest } from '../helpers/recording-backend.js'
import { bytes, cutAt } from '../helpers/splits.js'
import { generateInput } from './generate-input.js'
import type { Random } from './random.js'

/** Reads what the proxy sends strictly, and answers it as badly as it can. */
export class HostileBackend {
  readonly sockets = new Set<Socket>()
  /** Requests that were complete. */
  requests = 0
  readonly #server: Server
  readonly #random: Random
  readonly #seeds: readonly string[]
  readonly #report: (fault: string) => void

  constructor(random: Random, seeds: readonly string[], report: (fault: string) => void) {
    this.#random = random
    this.#seeds = seeds
    this.#report = report
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#serve(socket)
    })
  }

  /** Listens on a free port of 127.0.0.1, and returns it. */
  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

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
    socket.on('end', () => {
      socket.end()
    })
    socket.on('data', (data) => {
      text += data.toString('latin1')
      for (let next = takeRequest(text); next !== null; next = takeRequest(text)) {
        text = text.slice(next.raw.length)
        this.requests++
        const { faults } = readCanonicalRequest(next.raw)
        if (faults.length > 0) this.#report(`the upstream got ${faults.join(', ')}`)
        void this.#answer(socket)
      }
      // Answers may also come in the middle of a request.
      if (this.#random.oneIn(50)) void this.#answer(socket)
    })
  }

  async #answer(socket: Socket): Promise<void> {
    const random = this.#random
    const honest = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK'
    const text = random.oneIn(3) ? honest : generateInput(random, this.#seeds)
    const input = bytes(text)
    const places = Array.from({ length: random.small(4) }, () => random.below(input.length + 1))
    for (const piece of cutAt(input, places)) {
      if (socket.destroyed) return
      socket.write(piece)
      if (random.oneIn(2)) await new Promise((resolve) => setImmediate(resolve))
    }
    switch (random.below(6)) {
      case 0:
        socket.end()
        break
      case 1:
        socket.destroy()
        break
      case 2:
        // While a FIN is on its way libuv refuses to reset, and Node would leave the socket open.
        if (socket.writableEnded) socket.destroy()
        else socket.resetAndDestroy()
        break
      default:
    }
  }
}
