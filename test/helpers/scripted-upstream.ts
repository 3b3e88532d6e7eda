/** A server that answers what a test says, byte by byte. */
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import type { RawMessage } from './raw-message.js'
import { Guard, RawPeer } from './raw-peer.js'

/** Answers one request: bytes to send at once, or nothing because it acts by itself. */
export type Answer = (
  request: RawMessage,
  peer: RawPeer,
) => string | Buffer | undefined | Promise<string | Buffer | undefined>

/** Listens on a free port of the loopback interface. Close it with `close`. */
export class ScriptedUpstream {
  readonly address: string
  /** Every connection accepted so far, in order. */
  readonly peers: RawPeer[] = []
  /** Every request read by `answer`, in order. */
  readonly requests: RawMessage[] = []
  readonly #server: Server
  readonly #waiting = new Set<() => void>()
  #answer: Answer | null = null
  #taken = 0

  private constructor(server: Server) {
    this.#server = server
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', (socket) => {
      const peer = new RawPeer(socket)
      this.peers.push(peer)
      socket.on('close', () => {
        this.#wake()
      })
      this.#wake()
      if (this.#answer) void this.#serve(peer, this.#answer)
    })
  }

  static async listen(): Promise<ScriptedUpstream> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    return new ScriptedUpstream(server)
  }

  /** From now on reads requests on every new connection and answers each. */
  answer(answer: Answer | string): void {
    this.#answer = typeof answer === 'string' ? () => answer : answer
  }

  /** The next connection that no one has taken yet. */
  async next(): Promise<RawPeer> {
    await this.#until(() => this.peers.length > this.#taken, 'a connection to the upstream')
    return this.peers[this.#taken++]!
  }

  /** Connections that are open now. */
  get open(): number {
    return this.peers.filter((peer) => !peer.closed).length
  }

  /** Ends its side of every connection that the proxy has ended, and waits until none is open. */
  async allClosed(): Promise<void> {
    for (const peer of this.peers) {
      peer.socket.resume()
      if (peer.ended) peer.end()
      else
        peer.socket.once('end', () => {
          peer.end()
        })
    }
    await this.#until(() => this.open === 0, 'the proxy to close its upstream connections')
  }

  /** Stops listening; later connections are refused. */
  async close(): Promise<void> {
    for (const peer of this.peers) peer.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve()
      })
    })
  }

  async #serve(peer: RawPeer, answer: Answer): Promise<void> {
    try {
      for (;;) {
        await peer.until(() => peer.rest !== '' || peer.ended || peer.closed)
        if (peer.rest === '') break
        const request = await peer.request()
        this.requests.push(request)
        const bytes = await answer(request, peer)
        if (bytes !== undefined) peer.send(bytes)
        this.#wake()
      }
      // As an origin does: a proxy that ends its side has no more to ask.
      peer.end()
    } catch {
      // A test that cuts a request in the middle, or keeps a connection idle, ends here.
      peer.destroy()
    }
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const guard = new Guard(() => `waited in vain for ${what}`)
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

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}
