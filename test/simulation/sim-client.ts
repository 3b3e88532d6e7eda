/** One connection of a simulated client: sends its requests, reads answers, may leave or stop reading. */
import type { RawMessage, SeededRandom, TestWorld } from '../../src/testing/index.js'
import { TestPeer } from '../../src/testing/test-peer.js'
import { parseSocketAddress } from '../../src/transport/index.js'
import type { SimRequest } from './sim-request.js'

/** How a client leaves: ends its direction, resets, closes, or just sends nothing any more. */
export type Leaving = 'end' | 'reset' | 'close' | 'vanish'

/** What one connection does. */
export interface ClientPlan {
  /** Such as `c3`. */
  readonly name: string
  readonly startMs: number
  readonly requests: readonly SimRequest[]
  /** Requests that may wait for their answer at once. */
  readonly depth: number
  /** Longest time between an answer and the next request. */
  readonly maxGapMs: number
  /** Leaves once that many bytes have been sent, or have come; `null`: stays to the end. */
  readonly leaves: {
    readonly how: Leaving
    readonly direction: 'sent' | 'received'
    readonly bytes: number
  } | null
  /** Stops reading once that many bytes have come, for a time or, with `Infinity`, for good. */
  readonly stalls: { readonly bytes: number; readonly forMs: number } | null
  /** The network breaks the connection after so many bytes. */
  readonly breaksAfter: { readonly bytes: number; readonly toProxy: boolean } | null
}

/** What a client saw of one request. */
export interface ClientExchange {
  readonly request: SimRequest
  readonly sentAtMs: number
  /** Whether all of it was written. */
  wholeSent: boolean
  readonly interims: RawMessage[]
  /** The final response; a broken one has a `fault`. */
  answer: RawMessage | null
}

/** Makes its connection at its time; `isDone` once it is gone. */
export class SimClient {
  readonly plan: ClientPlan
  readonly exchanges: ClientExchange[] = []
  /** The client's address; empty before it has a connection. */
  address = ''
  /** Whether no connection could be made. */
  refused = false
  /** Whether it did anything but wait for its answers. */
  misbehaved = false
  /** Whether it closed only after everything had been answered. */
  satisfied = false
  /** What came though nothing was asked for; empty: nothing. */
  extra = ''
  isDone = false
  readonly #world: TestWorld
  readonly #random: SeededRandom
  #peer: TestPeer | null = null
  #answered = 0
  #sentBytes = 0
  #isSending = false
  #closing = false
  /** Goes on with a body that waits for a 100 (Continue). */
  #goOn: (() => void) | null = null

  constructor(world: TestWorld, plan: ClientPlan) {
    this.plan = plan
    this.#world = world
    this.#random = world.random.fork(`client ${plan.name}`)
    this.misbehaved = plan.leaves !== null || plan.stalls !== null || plan.breaksAfter !== null
  }

  /** Will dial `address` when its time comes. */
  start(address: string): void {
    this.#later(this.plan.startMs, () => {
      void this.#connect(address)
    })
  }

  /** Whether an answer is awaited. */
  get waits(): boolean {
    return this.#answered < this.exchanges.length
  }

  /** Whether it has stopped reading for good: it will not even notice the end. */
  get isStalled(): boolean {
    return this.#hasStalled && this.plan.stalls?.forMs === Infinity
  }

  /** Ends the connection, if there is one, whatever it waits for. */
  close(): void {
    this.isDone = true
    this.#peer?.destroy()
  }

  async #connect(address: string): Promise<void> {
    try {
      const connection = await this.#world.network.dial(parseSocketAddress(address), {})
      this.address = connection.digest.localAddress
      const { breaksAfter } = this.plan
      if (breaksAfter !== null) {
        connection.resetAfter(breaksAfter.bytes, breaksAfter.toProxy ? 'toListener' : 'toDialler')
      }
      const peer = new TestPeer(this.#world, connection, {
        onChange: () => {
          this.#changed()
        },
      })
      this.#peer = peer
      this.#sendNext()
    } catch {
      this.refused = true
      this.isDone = true
    }
  }

  // Requests

  /** Sends the next request, if there is one and it is time. */
  #sendNext(): void {
    const request = this.plan.requests[this.exchanges.length]
    if (request === undefined || this.#isSending || this.#isOver()) return
    if (this.exchanges.length - this.#answered >= this.plan.depth) return
    // Nothing is asked behind a request that ends the connection.
    if (this.exchanges.at(-1)?.request.closes === true) return
    const sentAtMs = this.#world.clock.nowMs()
    const exchange: ClientExchange = {
      ...{ request, sentAtMs, wholeSent: false, interims: [], answer: null },
    }
    this.exchanges.push(exchange)
    this.#isSending = true
    this.#write(exchange, 0)
  }

  #write(exchange: ClientExchange, index: number): void {
    if (this.#isOver()) return
    const { pieces, everyMs, expects } = exchange.request
    const piece = pieces[index]
    if (piece !== undefined) this.#send(piece)
    if (index + 1 >= pieces.length) {
      exchange.wholeSent = true
      this.#isSending = false
      this.#afterGap()
      return
    }
    const goOn = (): void => {
      this.#write(exchange, index + 1)
    }
    if (expects && index === 0) this.#expect(exchange, goOn)
    else if (everyMs > 0) this.#later(everyMs, goOn)
    else goOn()
  }

  /** Waits for a 100, but not for ever; after a final answer the body is not wanted any more. */
  #expect(exchange: ClientExchange, send: () => void): void {
    const goOn = (): void => {
      if (this.#goOn !== goOn) return
      this.#goOn = null
      if (exchange.answer === null) send()
    }
    this.#goOn = goOn
    this.#later(EXPECT_MS, goOn)
  }

  #send(piece: Buffer): void {
    const { leaves } = this.plan
    const left = leaves?.direction === 'sent' ? leaves.bytes - this.#sentBytes : Infinity
    this.#sentBytes += piece.length
    this.#peer?.send(left < piece.length ? piece.subarray(0, left) : piece)
    if (leaves !== null && left <= piece.length) this.#leave(leaves.how)
  }

  #afterGap(): void {
    const gapMs = this.#random.chance(0.5) ? 0 : this.#random.int(0, this.plan.maxGapMs)
    if (gapMs === 0) this.#sendNext()
    else {
      this.#later(gapMs, () => {
        this.#sendNext()
      })
    }
  }

  // Answers

  #changed(): void {
    const peer = this.#peer
    if (peer === null) return
    this.#read(peer)
    const { leaves, stalls } = this.plan
    if (leaves?.direction === 'received' && peer.bytes >= leaves.bytes) this.#leave(leaves.how)
    if (stalls !== null && !this.#closing && peer.bytes >= stalls.bytes) this.#stall(peer, stalls)
    if (peer.closed) this.isDone = true
    // A client has no use for a connection that the other side has ended.
    else if (peer.ended) peer.destroy()
  }

  #read(peer: TestPeer): void {
    for (;;) {
      const exchange = this.exchanges[this.#answered]
      if (exchange === undefined) {
        if (peer.restBytes > 0) this.extra ||= peer.rest.slice(0, 200)
        return
      }
      const message = peer.nextMessage(exchange.request.method)
      if (message === null) return
      const isInterim = message.complete && message.status < 200 && message.status !== 101
      if (isInterim) exchange.interims.push(message)
      else exchange.answer = message
      this.#goOn?.()
      if (isInterim) continue
      if (!message.complete) return
      this.#answered++
      this.#answerCame(exchange, message)
    }
  }

  #answerCame(exchange: ClientExchange, answer: RawMessage): void {
    const ends =
      exchange.request.closes || /\bclose\b/i.test(answer.headers.get('Connection') ?? '')
    const isLast = this.#answered === this.plan.requests.length
    if (ends || !exchange.wholeSent) this.#closing = true
    if (isLast || (ends && !this.waits)) this.#finish()
    else this.#afterGap()
  }

  /** Everything is answered: some close at once, some leave it to the proxy. */
  #finish(): void {
    this.#closing = true
    this.satisfied = true
    const kind = this.#random.next()
    if (kind < 0.4) this.#later(0, () => this.#peer?.destroy())
    else if (kind < 0.7) this.#later(this.#random.int(0, 3_000), () => this.#peer?.end())
  }

  // Moods

  #leave(how: Leaving): void {
    this.#closing = true
    if (how === 'end') this.#peer?.end()
    else if (how === 'reset') this.#peer?.reset()
    else if (how === 'close') this.#peer?.destroy()
  }

  #hasStalled = false

  #stall(peer: TestPeer, { forMs }: { readonly forMs: number }): void {
    if (this.#hasStalled) return
    this.#hasStalled = true
    peer.pause()
    if (forMs === Infinity) return
    this.#later(forMs, () => {
      peer.resume()
    })
  }

  #isOver(): boolean {
    return this.#closing || this.#peer === null || this.#peer.connection.destroyed
  }

  #later(ms: number, act: () => void): void {
    this.#world.clock.schedule(ms, act)
  }
}

/** How long a client waits for 100 (Continue). */
const EXPECT_MS = 1_000
