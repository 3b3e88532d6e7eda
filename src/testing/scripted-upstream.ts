/** `ScriptedUpstream`: a server of the fake world that answers what a test says, and keeps what it got. */
import { intInRange } from '../error/index.js'
import { parseSocketAddress } from '../transport/index.js'
import type { Connection, Listener, SocketAddress } from '../transport/index.js'
import { reply } from './reply.js'
import { DEFAULT_MAX_KEPT_BYTES } from './test-peer.js'
import type { ByteAllowance, TestPeer } from './test-peer.js'
import { UpstreamConnection } from './upstream-connection.js'
import type { AnswerSource } from './upstream-connection.js'
import type { Answer, UpstreamRequest } from './upstream-request.js'
import type { WorldHandle } from './world-handle.js'

/** How an upstream begins. */
export interface ScriptedUpstreamOptions {
  /**
   * The answer to all requests, until `answer` says another one; `null`: it answers nothing, and the
   * test speaks itself on what `next` gives. Default: 200 with the upstream's address as the body.
   */
  readonly answer?: Answer | null
  /** Names of its certificate, which is trusted; what it gets and sends stays readable. Default: no TLS. */
  readonly tls?: string | readonly string[]
  /**
   * Bytes that all its connections together may keep, 1 or more; more is an error of the test.
   * Default: 64 MiB.
   */
  readonly maxKeptBytes?: number
}

/** Listens from its construction until the world closes. */
export class ScriptedUpstream {
  /** Where it listens, as it was given. */
  readonly address: string
  /** Every request that came whole to one of its answers, in the order in which they were complete. */
  readonly requests: UpstreamRequest[] = []
  /** Every connection that was accepted, in order. */
  readonly connections: TestPeer[] = []
  readonly #world: WorldHandle
  readonly #listensOn: SocketAddress
  readonly #allowance: ByteAllowance
  readonly #source: AnswerSource
  readonly #served: UpstreamConnection[] = []
  /** Callers of `next` that wait for a connection, in order. */
  readonly #claims: Claim[] = []
  readonly #nextAnswers: Answer[] = []
  readonly #forgetAtClose: () => void
  #answer: Answer | null
  #listener: Promise<Listener> | null = null
  /** Resolves when an earlier listener has left the address. */
  #closing: Promise<void> | null = null

  /** Made by the world. @throws `PGR_ADDRESS_INVALID`, `PGR_OPTION_INVALID`. */
  constructor(world: WorldHandle, address: string, options: ScriptedUpstreamOptions = {}) {
    const { answer = reply(200, address), tls, maxKeptBytes = DEFAULT_MAX_KEPT_BYTES } = options
    intInRange('maxKeptBytes', maxKeptBytes, 1, Number.MAX_SAFE_INTEGER)
    this.address = address
    this.#listensOn = parseSocketAddress(address)
    if (this.#listensOn.kind === 'ip') intInRange('port', this.#listensOn.port, 1, 65_535)
    this.#world = world
    this.#answer = answer
    this.#allowance = { maxKeptBytes, keptBytes: 0 }
    this.#source = {
      hasAnswer: () => this.#answer !== null || this.#nextAnswers.length > 0,
      answerTo: (request) => this.#answerTo(request),
    }
    if (tls !== undefined) {
      world.network.serveTls(address, { names: typeof tls === 'string' ? [tls] : tls })
    }
    this.#forgetAtClose = world.atClose(() => this.close())
    this.up()
  }

  /** The answer to all requests that come from now on; `null`: none, see `next`. */
  answer(answer: Answer | null): void {
    this.#answer = answer
    this.#serveAll()
  }

  /** Answers to the next requests, one each, before the answer to all counts again. */
  answerNext(...answers: readonly Answer[]): void {
    this.#nextAnswers.push(...answers)
    this.#serveAll()
  }

  /** All bytes that came on a connection, those that are no whole request included. Not a copy. */
  received(index: number = 0): Buffer {
    return this.connections[index]?.received ?? Buffer.alloc(0)
  }

  /** Connections that are open now. */
  get open(): number {
    return this.connections.filter((peer) => !peer.closed).length
  }

  /**
   * The next connection that nobody has taken and on which nothing was answered. From then on the
   * test alone speaks on it. Drives the world.
   * @param withinMs how much virtual time may pass until there is one. Default: 0.
   */
  async next(withinMs: number = 0): Promise<TestPeer> {
    const claim: Claim = { connection: this.#served.find(({ isFree }) => isFree) ?? null }
    claim.connection?.take()
    if (claim.connection === null) await this.#claim(claim, withinMs)
    return claim.connection!.peer
  }

  /** Stops listening, so that dialling is refused, and resets its connections. */
  down(): void {
    this.#stopListening()
    for (const peer of this.connections) peer.reset()
  }

  /** Listens again. */
  up(): void {
    if (this.#listener !== null) return
    const listener = this.#closing === null ? this.#listen() : this.#listenAfter(this.#closing)
    this.#listener = listener
    listener.catch((error: unknown) => {
      if (this.#listener === listener) this.#listener = null
      this.#world.fail(error)
    })
  }

  /** Has connects to it hang until `heal`. */
  blackhole(): void {
    this.#world.network.blackhole(this.address)
  }

  /** Holds everything from and to it, connections that stand included, until `heal`. */
  partition(): void {
    this.#world.network.partition(this.address)
  }

  /** Takes `blackhole` and `partition` back. */
  heal(): void {
    this.#world.network.heal(this.address)
  }

  /**
   * Ends its side of every connection that the other side ends, and resolves when none is open.
   * Drives the world.
   */
  async allClosed(withinMs: number = 0): Promise<void> {
    for (const connection of this.#served) {
      connection.peer.resume()
      connection.endWithPeer()
    }
    const what = `the connections to ${this.address} to close`
    await this.#world.until(() => this.open === 0, what, withinMs)
  }

  /** Stops listening and closes its connections. Does not drive the world. */
  async close(): Promise<void> {
    this.#forgetAtClose()
    this.#stopListening()
    for (const peer of this.connections) peer.destroy()
    await this.#closing
  }

  #listen(): Promise<Listener> {
    return this.#world.network.listen(this.#listensOn, {}, (connection) => {
      this.#accept(connection)
    })
  }

  async #listenAfter(closing: Promise<void>): Promise<Listener> {
    await closing
    return this.#listen()
  }

  #stopListening(): void {
    const listener = this.#listener
    this.#listener = null
    if (listener === null) return
    // One that could not listen was told to the world; there is nothing to close.
    this.#closing = listener.then(
      (standing) => standing.close(),
      () => undefined,
    )
  }

  #accept(connection: Connection): void {
    const served = new UpstreamConnection({
      world: this.#world,
      connection,
      index: this.connections.length,
      source: this.#source,
      allowance: this.#allowance,
    })
    this.#served.push(served)
    this.connections.push(served.peer)
    const claim = this.#claims.shift()
    if (claim === undefined) return
    claim.connection = served
    served.take()
  }

  #answerTo(request: UpstreamRequest): Answer {
    this.requests.push(request)
    // With `null` there is no answer to a request, and then none is read.
    return this.#nextAnswers.shift() ?? this.#answer ?? reply.never()
  }

  #serveAll(): void {
    for (const connection of this.#served) connection.serve()
  }

  async #claim(claim: Claim, withinMs: number): Promise<void> {
    this.#claims.push(claim)
    const what = `a connection to ${this.address} that nobody has taken or answered`
    try {
      await this.#world.until(() => claim.connection !== null, what, withinMs)
    } finally {
      const index = this.#claims.indexOf(claim)
      if (index >= 0) this.#claims.splice(index, 1)
    }
  }
}

interface Claim {
  connection: UpstreamConnection | null
}
