/** `Violation`: an invariant of the proxy that a simulated world has broken. */

/** What must hold in every world, whatever happens in it. */
export type Invariant =
  /** A response answers the request whose turn it is on that connection. */
  | 'answer-order'
  /** Status, body and trailers are those that the upstream sent for exactly this request. */
  | 'answer-bytes'
  /** A response without an upstream's mark is the proxy's own, with the status that was logged. */
  | 'answer-unexplained'
  /** Nothing comes that nobody asked for, and nothing that is no HTTP. */
  | 'answer-extra'
  /** A request that was logged as a success has reached a client that stayed. */
  | 'answer-lost'
  /** Interim responses belong to the request whose turn it is. */
  | 'interim'
  /** Every request is answered, or its connection broken, when all time-outs have passed. */
  | 'liveness'
  /** In a world without faults every request succeeds. */
  | 'calm'
  /** What an upstream received as a whole request is what the client sent. */
  | 'request-bytes'
  /** What is no request stays here, and gets an error. */
  | 'malformed'
  /** A request that must not be done twice is not sent twice once a byte of it arrived. */
  | 'sent-twice'
  /** There are no more attempts than `max_retries`. */
  | 'max-attempts'
  /** Hop-by-hop fields do not pass, in neither direction. */
  | 'hop-by-hop'
  /** A connection on which something is left over is not used again. */
  | 'reuse'
  /** `logging` runs once for every parsed request. */
  | 'logging'
  /** Counters agree with what happened. */
  | 'counters'
  /** A graceful stop ends once nobody is connected. */
  | 'stop'

/** Says which invariant was broken, and by which request or connection. */
export class Violation extends Error {
  readonly invariant: Invariant

  constructor(invariant: Invariant, details: string) {
    super(`invariant ${invariant}: ${details}`)
    this.name = 'Violation'
    this.invariant = invariant
  }
}
