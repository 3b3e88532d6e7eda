/** One HTTP/1 message as it came over the wire, byte for byte. */

import type { HeaderFields } from './header-fields.js'

/** How a message says where its body ends (RFC 9112 §6.3); `none` for one that has no body. */
export type MessageFraming = 'none' | 'length' | 'chunked' | 'close'

/** What a {@link RawMessage} is made of. */
export interface RawMessageParts {
  /** The first line, without its line end. */
  readonly startLine: string
  /** The field lines as they came, in order, without their line ends. */
  readonly lines: readonly string[]
  /** Start line and field lines with the empty line, byte for byte, as latin1 text. */
  readonly head: string
  /** The fields of the head. */
  readonly headers: HeaderFields
  /** The body without its framing; as far as it came, when the message is not complete. */
  readonly body: Buffer
  /** The fields of the trailer section. */
  readonly trailers: HeaderFields
  /** All bytes of the message; when it is not complete, all that came since its begin. */
  readonly raw: Buffer
  /** How the message says where its body ends. */
  readonly framing: MessageFraming
  /**
   * Why the message is not whole and never will be, such as `ended in the body` or
   * `malformed: chunk size "x"`; empty for a complete message.
   */
  readonly fault: string
}

/** A request or a response. Text is latin1: one character per byte. */
export class RawMessage implements RawMessageParts {
  readonly startLine: string
  readonly lines: readonly string[]
  readonly head: string
  readonly headers: HeaderFields
  readonly body: Buffer
  readonly trailers: HeaderFields
  readonly raw: Buffer
  readonly framing: MessageFraming
  readonly fault: string
  /** The method of a request; empty for a response. */
  readonly method: string
  /** The target of a request; empty for a response. */
  readonly target: string
  /** The version, such as `1.1`. */
  readonly version: string
  /** The status of a response; 0 for a request. */
  readonly status: number
  /** The reason phrase of a response; empty for a request. */
  readonly reason: string

  constructor(parts: RawMessageParts) {
    this.startLine = parts.startLine
    this.lines = parts.lines
    this.head = parts.head
    this.headers = parts.headers
    this.body = parts.body
    this.trailers = parts.trailers
    this.raw = parts.raw
    this.framing = parts.framing
    this.fault = parts.fault
    const response = STATUS_LINE.exec(parts.startLine)
    const request = response === null ? REQUEST_LINE.exec(parts.startLine) : null
    this.version = response?.[1] ?? request?.[3] ?? ''
    this.status = Number(response?.[2] ?? 0)
    this.reason = response?.[3] ?? ''
    this.method = request?.[1] ?? ''
    this.target = request?.[2] ?? ''
  }

  /** Whether the message came whole and well-formed. */
  get complete(): boolean {
    return this.fault === ''
  }

  /** The body as UTF-8 text. Each call converts it. */
  get text(): string {
    return this.body.toString()
  }
}

const STATUS_LINE = /^HTTP\/(\d\.\d) (\d{3})(?: (.*))?$/s
const REQUEST_LINE = /^([^ ]+) ([^ ]+) HTTP\/(\d\.\d)$/s
