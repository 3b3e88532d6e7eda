/** Drives the HTTP/1 codec over a list of reads, as a session does, and writes down what came out. */
import { ProxyError } from '../../src/error/index.js'
import type { HeaderMap } from '../../src/http/index.js'
import {
  BodyDecoder,
  HeadReader,
  REQUEST_LIMITS,
  RESPONSE_SECTION_LIMITS,
  UNTIL_CLOSE,
  parseRequestHead,
  parseResponseHead,
  requestSectionLimits,
} from '../../src/protocols/h1/index.js'
import type {
  ParseHead,
  RequestHead,
  RequestLimits,
  ResponseHead,
  SectionLimits,
} from '../../src/protocols/h1/index.js'

/** One message with its body, as plain values that `deepEqual` compares. */
export interface Message<Head> {
  readonly head: Head
  readonly fields: readonly (readonly [string, string])[]
  /** One character per byte. */
  readonly body: string
  readonly trailers: readonly (readonly [string, string])[] | null
}

/** What a stream of bytes decoded to. */
export interface Decoded<Head> {
  readonly messages: readonly Message<Head>[]
  /** The code of what ended the stream early, or `null`. */
  readonly error: string | null
  /** The status that goes with the error, or 0. */
  readonly status: number
  /** The body bytes of a message that is not complete; `null` when none has begun. */
  readonly partialBody: string | null
  /** Whether bytes of an incomplete head are held. */
  readonly headBegun: boolean
}

/** Options of {@link decodeRequests} and {@link decodeResponses}. */
export interface DecodeOptions {
  /** Whether the stream ends after the last read. Default: false. */
  readonly ended?: boolean
  /** Limits of request heads. Default: the contract's. */
  readonly limits?: RequestLimits
}

/** Decodes pipelined requests until the reads, the keep-alive or the client's credit end. */
export function decodeRequests(
  reads: readonly Buffer[],
  { ended = false, limits = REQUEST_LIMITS }: DecodeOptions = {},
): Decoded<RequestHead> {
  return decode(reads, ended, {
    limits: requestSectionLimits(limits),
    bodyCodes: {
      invalidCode: 'PGR_REQUEST_BODY_INVALID',
      incompleteCode: 'PGR_REQUEST_BODY_INCOMPLETE',
    },
    parse: (buffer, start, to) => parseRequestHead(buffer, start, to, limits.maxHeaders),
    isLast: (head) => !head.keepAlive,
  })
}

/** Decodes the answers to requests with `methods`, interim ones included. */
export function decodeResponses(
  reads: readonly Buffer[],
  methods: readonly string[] = ['GET'],
  { ended = false }: DecodeOptions = {},
): Decoded<ResponseHead> {
  let answered = 0
  return decode(reads, ended, {
    limits: RESPONSE_SECTION_LIMITS,
    bodyCodes: {
      invalidCode: 'PGR_RESPONSE_BODY_INVALID',
      incompleteCode: 'PGR_RESPONSE_BODY_INCOMPLETE',
    },
    parse: (buffer, start, to) => parseResponseHead(buffer, start, to, methods[answered]!),
    isLast: (head) => {
      if (head.header.isInterim) return false
      answered++
      return answered === methods.length || !head.keepAlive
    },
  })
}

interface Role<Head> {
  readonly limits: SectionLimits
  readonly bodyCodes: ConstructorParameters<typeof BodyDecoder>[0]
  readonly parse: ParseHead<Head>
  readonly isLast: (head: Head) => boolean
}

function decode<Head extends RequestHead | ResponseHead>(
  reads: readonly Buffer[],
  ended: boolean,
  role: Role<Head>,
): Decoded<Head> {
  const decoder = new StreamDecoder(role)
  let error: ProxyError | null = null
  try {
    for (const read of reads) decoder.take(read)
    if (ended) decoder.end()
  } catch (thrown) {
    if (!(thrown instanceof ProxyError)) throw thrown
    error = thrown
  }
  return {
    messages: decoder.messages,
    error: error?.code ?? null,
    status: error?.status ?? 0,
    partialBody: decoder.partialBody,
    headBegun: error === null && decoder.headBegun,
  }
}

class StreamDecoder<Head extends RequestHead | ResponseHead> {
  readonly messages: Message<Head>[] = []
  readonly #role: Role<Head>
  readonly #reader: HeadReader<Head>
  readonly #body: BodyDecoder
  #current: Head | null = null
  #currentBody = ''
  #isClosed = false
  #heldBytes = 0

  constructor(role: Role<Head>) {
    this.#role = role
    this.#reader = new HeadReader(role.limits, role.parse)
    this.#body = new BodyDecoder(role.bodyCodes)
  }

  get partialBody(): string | null {
    return this.#current === null ? null : this.#currentBody
  }

  get headBegun(): boolean {
    return this.#reader.begun
  }

  /**
   * Takes one read. It stands in the middle of a larger buffer, between bytes that would change the
   * result if they were read, and is overwritten afterwards, as read buffers are used again.
   */
  take(read: Buffer): void {
    const buffer = Buffer.concat([JUNK, read, JUNK])
    let at = JUNK.length
    const to = at + read.length
    let steps = 0
    // An empty read may come: it must change nothing.
    if (at === to && !this.#isClosed && this.#current === null) this.#reader.read(buffer, at, to)
    while (at < to && !this.#isClosed) {
      if (++steps > 4 * read.length + 4) throw new Error('the codec makes no progress')
      at = this.#current === null ? this.#takeHead(buffer, at, to) : this.#takeBody(buffer, at, to)
    }
    buffer.fill(0xaa)
  }

  end(): void {
    if (this.#current === null) return
    this.#body.finish()
    this.#complete()
  }

  #takeHead(buffer: Buffer, from: number, to: number): number {
    const head = this.#reader.read(buffer, from, to)
    const { next } = this.#reader
    if (head === null) {
      this.#heldBytes += to - from
      const { maxStartLineBytes, maxFieldBytes } = this.#role.limits
      if (this.#heldBytes > maxStartLineBytes + maxFieldBytes + SLACK_BYTES) {
        throw new Error('the codec holds more than its limits')
      }
      return to
    }
    if (next <= from || next > to) throw new Error('a head ends outside of its read')
    this.#heldBytes = 0
    // Where a head was gathered says nothing about it, and differs from cut to cut.
    this.#current = { ...head, end: 0 }
    this.#body.start(this.#current.bodyLength)
    if (this.#body.done) this.#complete()
    return next
  }

  #takeBody(buffer: Buffer, from: number, to: number): number {
    const body = this.#body
    const position = body.next(buffer, from, to)
    if (position <= from && !body.done) throw new Error('the body decoder makes no progress')
    if (body.dataStart < from || body.dataEnd > position || body.dataEnd < body.dataStart) {
      throw new Error('a piece of data lies outside of its read')
    }
    this.#currentBody += buffer.toString('latin1', body.dataStart, body.dataEnd)
    if (body.done) this.#complete()
    return position
  }

  #complete(): void {
    const head = this.#current!
    const { trailers } = this.#body
    this.messages.push({
      head,
      fields: listFields(head.header.headers),
      body: this.#currentBody,
      trailers: trailers === null ? null : listFields(trailers),
    })
    this.#current = null
    this.#currentBody = ''
    this.#isClosed = this.#role.isLast(head) || head.bodyLength === UNTIL_CLOSE
  }
}

function listFields(headers: HeaderMap): [string, string][] {
  return [...headers.entries()]
}

/** Ends a section, a chunk line and a body, wherever it is read by mistake. */
const JUNK = Buffer.from('\r\n\r\n0\r\n\r\nX: junk\r\n\r\n', 'latin1')
/** Line ends and ignored empty lines on top of the limits. */
const SLACK_BYTES = 16
