/** One connection of a scripted upstream: takes requests off it, and answers them in order. */
import type { Timer } from '../time/index.js'
import type { Connection } from '../transport/index.js'
import { Reply } from './reply-steps.js'
import type { CutKind, ReplyStep } from './reply-steps.js'
import { TestPeer } from './test-peer.js'
import type { ByteAllowance } from './test-peer.js'
import { UpstreamRequest } from './upstream-request.js'
import type { Answer, AnswerFunction } from './upstream-request.js'
import type { WorldHandle } from './world-handle.js'

/** Where the answers come from. */
export interface AnswerSource {
  /** Whether there is an answer for the next request; without one nothing is read. */
  hasAnswer(): boolean
  /** Takes note of a request, and gives the answer to it. */
  answerTo(request: UpstreamRequest): Answer
}

/** What a connection is made of. */
export interface UpstreamConnectionParts {
  readonly world: WorldHandle
  readonly connection: Connection
  /** Its place among the connections of the upstream. */
  readonly index: number
  readonly source: AnswerSource
  readonly allowance: ByteAllowance
}

interface Exchange {
  readonly request: UpstreamRequest
  readonly answer: Answer
}

/** Serves until somebody takes the connection to speak on it himself. */
export class UpstreamConnection {
  readonly peer: TestPeer
  readonly #world: WorldHandle
  readonly #index: number
  readonly #source: AnswerSource
  /** Requests that wait for the answer to the one before. */
  readonly #waiting: Exchange[] = []
  /** Whether an answer is under way. */
  #isAnswering = false
  /** Whether an answer has said the last word on this connection. */
  #isOver = false
  #isTaken = false
  #hasServed = false
  #endsWithPeer = false
  #timer: Timer | null = null

  constructor({ world, connection, index, source, allowance }: UpstreamConnectionParts) {
    this.#world = world
    this.#index = index
    this.#source = source
    const onChange = (): void => {
      this.#changed()
    }
    this.peer = new TestPeer(world, connection, { allowance, onChange })
  }

  /** Whether nobody has spoken on it for this side yet. */
  get isFree(): boolean {
    return !this.#isTaken && !this.#hasServed
  }

  /** From now on the caller speaks on it. */
  take(): void {
    this.#isTaken = true
  }

  /** Ends our side as soon as the other side has ended its own. */
  endWithPeer(): void {
    this.#endsWithPeer = true
    this.#changed()
  }

  /** Takes what requests there are, if there are answers. */
  serve(): void {
    if (this.#isTaken) return
    while (this.#source.hasAnswer() && !this.peer.closed) {
      const message = this.peer.nextMessage('')
      if (message === null) break
      if (!message.complete) {
        this.#refuse(message.fault)
        break
      }
      const request = new UpstreamRequest(message, this.#index, this.#world.clock.nowMs())
      this.#hasServed = true
      this.#waiting.push({ request, answer: this.#source.answerTo(request) })
    }
    this.#answerWaiting()
  }

  #changed(): void {
    const { peer } = this
    if (peer.closed) {
      this.#timer?.cancel()
      this.#timer = null
      this.#waiting.length = 0
      return
    }
    this.serve()
    // As an origin does: who has ended its side has no more to ask.
    const isIdle = this.#source.hasAnswer() && !this.#isTaken && !this.#isAnswering
    if (peer.ended && (this.#endsWithPeer || this.#isOver || isIdle)) peer.end()
  }

  /** A request that was cut is an accident of the network; one that is none is a fault of the proxy. */
  #refuse(fault: string): void {
    if (!fault.startsWith('malformed')) {
      // Those before it are answered all the same.
      if (!this.#isAnswering) this.peer.destroy()
      return
    }
    this.peer.reset()
    const { peerAddress, localAddress } = this.peer.connection.digest
    const from = `${peerAddress} to the upstream ${localAddress}`
    this.#world.fail(new Error(`what came from ${from} is no request: ${fault}`))
  }

  #answerWaiting(): void {
    while (!this.#isAnswering) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#isAnswering = true
      this.#give(next.request, next.answer)
    }
  }

  /** Carries an answer out. May be called again with what a function gave. */
  #give(request: UpstreamRequest, answer: Answer | undefined | void): void {
    if (this.peer.closed) return
    if (answer instanceof Reply) {
      this.#run(request.method === 'HEAD' ? answer.withoutBody().steps : answer.steps, 0)
    } else if (typeof answer === 'function') this.#ask(request, answer)
    else {
      if (answer !== undefined) this.peer.send(answer)
      this.#isAnswering = false
    }
  }

  #ask(request: UpstreamRequest, decide: AnswerFunction): void {
    try {
      const decided = decide(request, this.peer)
      if (!isPromise(decided)) {
        this.#give(request, decided)
        return
      }
      decided.then(
        (answer) => {
          this.#give(request, answer)
          // Nobody else is on the way to look for the next request.
          this.#changed()
        },
        (thrown: unknown) => {
          this.#threw(thrown)
        },
      )
    } catch (thrown) {
      this.#threw(thrown)
    }
  }

  /** A script that throws is a fault of the test: nobody may take it for one of the proxy. */
  #threw(thrown: unknown): void {
    this.peer.reset()
    this.#world.fail(thrown)
  }

  #run(steps: readonly ReplyStep[], from: number): void {
    for (let at = from; at < steps.length; at++) {
      const step = steps[at]!
      switch (step.kind) {
        case 'send':
          at += this.#send(steps, at) - 1
          break
        case 'wait':
          this.#timer = this.#world.clock.schedule(step.ms, () => {
            this.#run(steps, at + 1)
            this.#changed()
          })
          return
        case 'tunnel':
          this.#isTaken = true
          this.#endsWithPeer = true
          break
        case 'end':
        case 'reset':
        case 'stall':
          this.#finish(step.kind)
          return
      }
    }
    this.#isAnswering = false
  }

  /** Nothing is answered behind this, so the connection stays marked as answering. */
  #finish(how: CutKind): void {
    this.#isOver = true
    if (how === 'end') this.peer.end()
    if (how === 'reset') this.peer.reset()
  }

  /** Sends in one write, as a server would, what no wait parts. Returns how many steps that were. */
  #send(steps: readonly ReplyStep[], from: number): number {
    const pieces: Uint8Array[] = []
    for (let at = from; at < steps.length; at++) {
      const step = steps[at]!
      if (step.kind !== 'send') break
      pieces.push(step.bytes)
    }
    this.peer.send(Buffer.concat(pieces))
    return pieces.length
  }
}

/** Also of another realm, as test runners make them. */
function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
