/** What a scripted upstream is asked, and what it may answer. */
import { RawMessage } from './raw-message.js'
import type { Reply } from './reply-steps.js'
import type { TestPeer } from './test-peer.js'

/** A whole request, byte for byte as it came. */
export class UpstreamRequest extends RawMessage {
  /** Index of its connection in the upstream's `connections`. */
  readonly connection: number
  /** When its last byte came, in virtual ms. */
  readonly atMs: number

  constructor(message: RawMessage, connection: number, atMs: number) {
    super(message)
    this.connection = connection
    this.atMs = atMs
  }
}

/**
 * What becomes of a request: a {@link Reply}; latin1 text or bytes, sent as they are; or a function
 * that says which of these, at once or later. A function that returns nothing has done all itself
 * through `peer`. One that throws ends the connection with a reset, and the test with what it threw.
 * Requests that were pipelined wait until the one before has its answer.
 */
export type Answer = Reply | string | Uint8Array | AnswerFunction

/** Decides about one request; what it waits for must not drive the world (`sleep`, not `until`). */
export type AnswerFunction = (
  request: UpstreamRequest,
  peer: TestPeer,
) => Answer | undefined | void | Promise<Answer | undefined | void>
