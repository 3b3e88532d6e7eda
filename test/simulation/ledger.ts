/** `Ledger`: what was sent in a simulated world, by whom and on which connection, for the judges. */
import type { MemoryConnection, TestWorld } from '../../src/testing/index.js'
import type { SimRequest } from './sim-request.js'
import { Violation } from './violation.js'
import type { Invariant } from './violation.js'

/** An answer that an upstream gave, or something that it said unasked. */
export interface SimAnswer {
  /** Stands in its `X-Answer`. */
  readonly key: string
  /** The request that it answers; empty for what nobody asked for. */
  readonly id: string
  readonly status: number
  readonly body: Buffer
  readonly trailers: readonly (readonly [string, string])[]
  /** The value of its `X-Pad`, which passes as it is; empty: it has none. */
  readonly pad: string
  /** Whether it may reach the client as a whole response. */
  readonly legal: boolean
  /** The proxy's address on the connection that it was sent on. */
  readonly connection: string
  /** How many bytes the upstream had written there before it. */
  readonly from: number
}

/** A request that the proxy sent, or was to send, on an upstream connection. */
export interface Take {
  readonly id: string
  /** The proxy's address on that connection. */
  readonly connection: string
  /** Bytes that the proxy had read from it by then. */
  readonly bytesRead: number
}

/** Filled while the world runs. */
export class Ledger {
  readonly requests: Map<string, SimRequest> = new Map<string, SimRequest>()
  /** By their keys. */
  readonly answers: Map<string, SimAnswer> = new Map<string, SimAnswer>()
  /** Requests that a hook has answered, with what it answered. */
  readonly ownAnswers: Map<string, number> = new Map<string, number>()
  /** Requests for which a hook threw. */
  readonly thrown: Set<string> = new Set<string>()
  readonly #answersTo = new Map<string, number>()
  readonly #takes = new Map<string, Take[]>()
  /** The latest on each upstream connection. */
  readonly #lastTakes = new Map<string, Take>()
  /** Where on each upstream connection bytes begin that belong to no answer. */
  readonly #strays = new Map<string, number>()
  readonly #connections = new Map<string, MemoryConnection>()
  readonly #world: TestWorld

  constructor(world: TestWorld) {
    this.#world = world
  }

  /** Ends the run: an invariant does not hold. For scripts and hooks, where throwing is no use. */
  fail(invariant: Invariant, details: string): void {
    this.#world.fail(new Violation(invariant, details))
  }

  /** The key for one more answer to the request `id`. */
  nextKey(id: string): string {
    const number = this.#answersTo.get(id) ?? 0
    this.#answersTo.set(id, number + 1)
    return `${id}.${number}`
  }

  /** Notes what an upstream is about to send. */
  answered(answer: SimAnswer): void {
    this.answers.set(answer.key, answer)
  }

  /** Notes that an upstream writes what is no answer to the request in progress. */
  stray(connection: string, from: number): void {
    this.#strays.set(connection, Math.min(from, this.strayFrom(connection)))
  }

  /** Where the first byte is that belongs to no answer; `Infinity`: nowhere. */
  strayFrom(connection: string): number {
    return this.#strays.get(connection) ?? Infinity
  }

  /** Notes that the proxy is about to send `id` on the connection with this address of its own. */
  taken(id: string, connection: string, digest: object): void {
    const bytesRead = this.#proxySide(connection, digest).bytesRead
    const take: Take = { id, connection, bytesRead }
    this.#checkReuse(take)
    this.#lastTakes.set(connection, take)
    const takes = this.#takes.get(id)
    if (takes === undefined) this.#takes.set(id, [take])
    else takes.push(take)
  }

  /**
   * Whether nobody could have known that `answer` is none to the request `id`: the connection held
   * something that was no answer, and the proxy had read nothing of it when it sent the request.
   */
  isUnknowable(answer: SimAnswer, id: string): boolean {
    const { connection, from } = answer
    return (this.#takes.get(id) ?? []).some(
      (take) =>
        take.connection === connection &&
        take.bytesRead <= from &&
        this.strayFrom(connection) <= from,
    )
  }

  /** What lay behind the answer to the request before, and was read, was seen to be too much. */
  #checkReuse({ id, connection, bytesRead }: Take): void {
    const stray = this.strayFrom(connection)
    const before = this.#lastTakes.get(connection)
    if (before === undefined || stray >= bytesRead) return
    for (const answer of this.answers.values()) {
      const isItsAnswer = answer.connection === connection && answer.id === before.id
      if (!isItsAnswer || !answer.legal || answer.from >= stray) continue
      this.fail('reuse', `${id} on ${connection}: read to ${bytesRead}, answers end at ${stray}`)
    }
  }

  #proxySide(address: string, digest: object): MemoryConnection {
    let connection = this.#connections.get(address)
    if (connection !== undefined) return connection
    for (const open of this.#world.network.open) if (open.digest === digest) connection = open
    if (connection === undefined) throw new Error(`no connection from ${address} is open`)
    this.#connections.set(address, connection)
    return connection
  }
}
