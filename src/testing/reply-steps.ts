/** `Reply`: what an upstream does with one request, as a list of steps that never changes. */
import { intInRange } from '../error/index.js'

/** One thing that an upstream does. */
export type ReplyStep =
  /** Sends bytes; `body` ones are left out when the request is a HEAD. */
  | { readonly kind: 'send'; readonly part: 'head' | 'body' | 'raw'; readonly bytes: Buffer }
  /** Lets `ms` of virtual time pass. */
  | { readonly kind: 'wait'; readonly ms: number }
  /** HTTP is over: what follows on the connection is for those who look at it. */
  | { readonly kind: 'tunnel' }
  /** Ends the connection orderly (FIN), with a reset (RST), or does nothing on it any more. */
  | { readonly kind: CutKind }

/** How a reply stops: with a FIN, with a RST, or by never sending another byte. */
export type CutKind = 'end' | 'reset' | 'stall'

/** What an upstream does with one request: an immutable list of steps. */
export class Reply {
  /** In order. */
  readonly steps: readonly ReplyStep[]

  constructor(steps: readonly ReplyStep[]) {
    this.steps = Object.freeze([...steps])
  }

  /** This reply, and then `next`: a final response behind an interim one. */
  followedBy(next: Reply): Reply {
    return new Reply([...this.steps, ...next.steps])
  }

  /** The same `ms` later. */
  after(ms: number): Reply {
    return new Reply([{ kind: 'wait', ms: intInRange('ms', ms, 0, MAX_MS) }, ...this.steps])
  }

  /**
   * Only its first `bytes` bytes; when the next one would be sent, the connection ends, is reset, or
   * stalls. A reply that is not longer does so behind its last byte.
   */
  cutAfter(bytes: number, how: CutKind): Reply {
    let left = intInRange('bytes', bytes, 0, Number.MAX_SAFE_INTEGER)
    const steps: ReplyStep[] = []
    for (const step of this.steps) {
      if (step.kind === 'wait' || step.kind === 'tunnel') steps.push(step)
      else if (step.kind !== 'send' || left === 0) break
      else {
        const kept = step.bytes.subarray(0, left)
        steps.push({ ...step, bytes: kept })
        left -= kept.length
        if (kept.length < step.bytes.length) break
      }
    }
    return new Reply([...steps, { kind: how }])
  }

  /** The same in pieces of `pieceBytes`, each `everyMs` after the one before. */
  slowly(pieceBytes: number, everyMs: number): Reply {
    intInRange('pieceBytes', pieceBytes, 1, Number.MAX_SAFE_INTEGER)
    const wait: ReplyStep = { kind: 'wait', ms: intInRange('everyMs', everyMs, 0, MAX_MS) }
    const steps: ReplyStep[] = []
    let sent = 0
    for (const step of this.steps) {
      if (step.kind !== 'send') {
        steps.push(step)
        continue
      }
      for (let at = 0; at < step.bytes.length; at += pieceBytes) {
        if (sent++ > 0) steps.push(wait)
        steps.push({ ...step, bytes: step.bytes.subarray(at, at + pieceBytes) })
      }
    }
    return new Reply(steps)
  }

  /** What a server sends when the request is a HEAD: the same without the body. */
  withoutBody(): Reply {
    return new Reply(this.steps.filter((step) => step.kind !== 'send' || step.part !== 'body'))
  }

  /** All bytes that it sends. */
  get bytes(): Buffer {
    return Buffer.concat(this.steps.filter(isSend).map(({ bytes }) => bytes))
  }
}

function isSend(step: ReplyStep): step is Extract<ReplyStep, { kind: 'send' }> {
  return step.kind === 'send'
}

/** A thousand years; beyond that lies a mistake. */
const MAX_MS = 1000 * 366 * 24 * 3_600_000
