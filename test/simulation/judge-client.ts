/** Judges what a client saw: whose answers, which bytes, in which order, and whether any is missing. */
import type { RawMessage } from '../../src/testing/index.js'
import type { RecordedSession } from '../../src/testing/hook-recorder.js'
import { firstDifference } from './byte-stream.js'
import type { Ledger, SimAnswer } from './ledger.js'
import type { ClientExchange, SimClient } from './sim-client.js'
import { Violation } from './violation.js'
import type { Invariant } from './violation.js'

/** What is known besides what the clients saw. */
export interface Case {
  readonly ledger: Ledger
  /** What the proxy recorded, by the ids of the requests. */
  readonly sessions: ReadonlyMap<string, RecordedSession>
  /** How a response body looks when it comes to a client. */
  readonly filtered: (body: Buffer) => Buffer
  /** Whether nothing in the world was to go wrong. */
  readonly isCalm: boolean
  /** Whether the network or the end of the grace period may have cut answers. */
  readonly wasCut: boolean
}

/** Judges one connection. @throws {@link Violation}. */
export function judgeClient(client: SimClient, known: Case): void {
  if (client.extra !== '' && !isBodyOfRefusal(client, known)) {
    throw new Violation('answer-extra', `${label(client)}: ${JSON.stringify(client.extra)}`)
  }
  for (const [index, exchange] of client.exchanges.entries()) {
    const judge = new ExchangeJudge(client, index, exchange, known)
    for (const interim of exchange.interims) judge.interim(interim)
    if (exchange.answer === null) judge.noAnswer()
    else judge.answer(exchange.answer)
  }
}

class ExchangeJudge {
  readonly #client: SimClient
  readonly #index: number
  readonly #exchange: ClientExchange
  readonly #known: Case
  readonly #id: string

  constructor(client: SimClient, index: number, exchange: ClientExchange, known: Case) {
    this.#client = client
    this.#index = index
    this.#exchange = exchange
    this.#known = known
    this.#id = exchange.request.id
  }

  interim(message: RawMessage): void {
    const { request } = this.#exchange
    if (request.version === '1.0') this.#fail('interim', `${message.status} to HTTP/1.0`)
    const key = message.headers.get('X-Answer')
    // Those of nobody in particular may come at any time.
    if (key === undefined) return
    const answer = this.#known.ledger.answers.get(key)
    if (answer === undefined) this.#fail('interim', `of nobody: ${key}`)
    else if (answer.id !== this.#id && !this.#known.ledger.isUnknowable(answer, this.#id)) {
      this.#fail('interim', `of another request: ${key}`)
    }
  }

  noAnswer(): void {
    const recorded = this.#known.sessions.get(this.#id)
    // An answer before it may have ended the connection, and said so.
    const isUnheard = this.#client.exchanges.some(({ answer }) => saysClose(answer))
    if (this.#known.isCalm && !isUnheard && !this.#isOvertaken(recorded)) {
      this.#fail('calm', 'no answer')
    }
    if (recorded?.error === undefined && recorded?.loggings === 1) this.#lost(recorded)
  }

  answer(message: RawMessage): void {
    if (!message.complete && !/^(?:ended|broken) in /.test(message.fault)) {
      this.#fail('answer-extra', message.fault)
    }
    if (message.status === 0) return
    const hop = message.headers.entries.find(([name]) => HOP_BY_HOP.test(name))
    if (hop !== undefined) this.#fail('hop-by-hop', hop.join(': '))
    const key = message.headers.get('X-Answer')
    if (key !== undefined) this.#upstreamAnswer(message, key)
    else if (message.headers.has('X-Own')) this.#ownAnswer(message)
    else this.#errorAnswer(message)
    if (!message.complete) this.#broken()
  }

  #upstreamAnswer(message: RawMessage, key: string): void {
    const { ledger, isCalm } = this.#known
    const answer = ledger.answers.get(key)
    if (answer === undefined) {
      this.#fail('answer-bytes', `a made-up answer ${key}`)
      return
    }
    if (answer.id !== this.#id || !answer.legal) {
      if (ledger.isUnknowable(answer, this.#id)) return
      const what = answer.id === this.#id ? 'no answer' : 'of another request'
      if (message.complete || answer.id !== this.#id) this.#fail('answer-order', `${what}: ${key}`)
      return
    }
    if (this.#exchange.request.fault === 'head') this.#fail('malformed', `was answered by ${key}`)
    if (message.status !== answer.status) {
      this.#fail('answer-bytes', `status ${message.status}, not ${answer.status}`)
    }
    if ((message.headers.get('X-Pad') ?? '') !== answer.pad) {
      this.#fail('answer-bytes', `X-Pad of ${key}: ${message.headers.get('X-Pad') ?? ''}`)
    }
    this.#body(message, answer)
    const isOvertaken = this.#isOvertaken(this.#known.sessions.get(this.#id))
    if (isCalm && !message.complete && !isOvertaken)
      this.#fail('calm', `answer ${key}: ${message.fault}`)
  }

  #body(message: RawMessage, answer: SimAnswer): void {
    const wanted = this.#known.filtered(answer.body)
    // What is broken must be right as far as it came.
    const shown = message.complete ? wanted : wanted.subarray(0, message.body.length)
    const at = firstDifference(message.body, shown)
    if (at >= 0) {
      const sizes = `${message.body.length} bytes, ${shown.length} were sent`
      this.#fail('answer-bytes', `the body of ${answer.key} differs at ${at}: ${sizes}`)
    }
    if (!message.complete || message.framing !== 'chunked') return
    const { acceptsTrailers } = this.#exchange.request
    const trailers = message.trailers.entries.map((field) => field.join(': ')).join()
    const sent = answer.trailers.map((field) => field.join(': ')).join()
    if (trailers !== (acceptsTrailers ? sent : '')) {
      this.#fail('answer-bytes', `trailers "${trailers}" of ${answer.key}, sent were "${sent}"`)
    }
  }

  #ownAnswer(message: RawMessage): void {
    const id = message.headers.get('X-Own') ?? ''
    if (id !== this.#id) this.#fail('answer-order', `the proxy's own answer to ${id}`)
    const status = this.#known.ledger.ownAnswers.get(id)
    if (message.status !== status) this.#fail('answer-bytes', `own status ${message.status}`)
  }

  /** Neither an upstream's nor a hook's: then the proxy must have logged why. */
  #errorAnswer(message: RawMessage): void {
    const { sessions, isCalm } = this.#known
    const recorded = sessions.get(this.#id)
    if (recorded === undefined) {
      // It never became a request: refused, or too slow.
      const { fault, wholeSent } = { ...this.#exchange.request, ...this.#exchange }
      const isRefusal = message.status >= 400 && message.status < 600
      if (!isRefusal || (fault !== 'head' && message.status !== 408)) {
        this.#fail('answer-unexplained', `${message.status} to a request without a session`)
      }
      if (fault !== 'head' && wholeSent && isCalm) this.#fail('calm', `${message.status}`)
      return
    }
    const { error } = recorded
    if (error?.status !== message.status) {
      const logged = error === undefined ? 'a success' : `${error.code} (${error.status})`
      this.#fail('answer-unexplained', `${message.status}, but logged was ${logged}`)
    }
    if (isCalm && this.#exchange.request.fault === '') {
      this.#fail('calm', `${message.status}: ${error?.code ?? ''} ${error?.message ?? ''}`)
    }
  }

  /** What was logged as a success must not be cut. */
  #broken(): void {
    const recorded = this.#known.sessions.get(this.#id)
    if (recorded?.loggings === 1 && recorded.error === undefined) this.#lost(recorded)
  }

  /** Nothing excuses the loss but what the client or the network did, or what came behind. */
  #lost(recorded: RecordedSession): void {
    const { misbehaved } = this.#client
    if (misbehaved || !this.#exchange.wholeSent || this.#known.wasCut) return
    if (this.#isOvertaken(recorded)) return
    const status = recorded.session.responseHeader?.status ?? 0
    this.#fail('answer-lost', `logged as a success with ${status}`)
  }

  /**
   * Whether it was answered, but the next request of the client met a connection that was closed:
   * the reset that such bytes call for may overtake the answer.
   */
  #isOvertaken(recorded: RecordedSession | undefined): boolean {
    const isLast = this.#index === this.#client.exchanges.length - 1
    return !isLast && recorded?.loggings === 1 && recorded.error === undefined
  }

  #fail(invariant: Invariant, details: string): void {
    const { method } = this.#exchange.request
    const where = `request ${this.#index} (${method} ${this.#id}) of ${label(this.#client)}`
    throw new Violation(invariant, `${where}: ${details}`)
  }
}

/** Whoever refuses what is no whole request cannot know that it was to be a HEAD. */
function isBodyOfRefusal({ exchanges }: SimClient, { sessions }: Case): boolean {
  const last = exchanges.findLast(({ answer }) => answer !== null)
  return last?.request.method === 'HEAD' && saysClose(last.answer) && !sessions.has(last.request.id)
}

function saysClose(answer: RawMessage | null): boolean {
  return /\bclose\b/i.test(answer?.headers.get('Connection') ?? '')
}

function label({ plan, address }: SimClient): string {
  return `client ${plan.name} at ${address}`
}

const HOP_BY_HOP = /^(?:keep-alive|te|upgrade|proxy-.*|x-hop)$/i
