/** `Admission`: an accepted connection until it is known whose it is, and that it may stay. */
import { ProxyError, describeThrown, toProxyError } from '../error/index.js'
import { ProxyHeaderReader } from '../protocols/index.js'
import type { ProxyHeader } from '../protocols/index.js'
import type { Deadline, DeadlineWheel } from '../time/index.js'
import { proxiedDigest } from './connection-digests.js'
import type { ConnectionFilter } from './connection-filter.js'
import type { Connection, ConnectionHandler } from './connection.js'

/** What all admissions of a listener have in common. */
export interface AdmissionRules {
  /** Whether the connection begins with a PROXY header. */
  readonly wantsHeader: boolean
  /** Who decides, in order. */
  readonly filters: readonly ConnectionFilter[]
  /** Time for all of it, in ms. */
  readonly timeoutMs: number
  readonly deadlines: DeadlineWheel
}

/** Who is told, exactly once, how an admission ends. */
export interface AdmissionOwner {
  /**
   * It may stay. It is paused. Must not throw.
   * @param prefix bytes behind the header, which are now the owner's.
   */
  admitted(admission: Admission, prefix: Buffer | null): void
  /** It is closed. `denied`: a filter has said no. `left`: the client went, or we do. */
  dismissed(admission: Admission, why: ProxyError | 'denied' | 'left'): void
}

/** Reads the PROXY header, then asks the filters. */
export class Admission implements ConnectionHandler {
  readonly connection: Connection
  readonly #rules: AdmissionRules
  readonly #owner: AdmissionOwner
  readonly #reader = new ProxyHeaderReader()
  readonly #deadline: Deadline
  #isOver = false
  /** The header has come, or none is wanted: only filters are waited for. */
  #isKnown = false

  constructor(connection: Connection, rules: AdmissionRules, owner: AdmissionOwner) {
    this.connection = connection
    this.#rules = rules
    this.#owner = owner
    this.#deadline = rules.deadlines.deadline(() => {
      this.#dismiss(this.#tooSlow())
    })
  }

  /** Takes the connection over. */
  start(): void {
    this.connection.handler = this
    this.#deadline.set(this.#rules.timeoutMs)
    if (this.#rules.wantsHeader) this.connection.resume()
    else this.#filter(0, null)
  }

  /** Closes the connection. */
  destroy(): void {
    this.#dismiss('left')
  }

  // ConnectionHandler

  onData(buffer: Buffer, length: number): void {
    if (this.#isOver) return
    const header = this.#readHeader(buffer, length)
    if (header === null) return
    const { connection } = this
    const { next } = this.#reader
    connection.pause()
    connection.digest = proxiedDigest(connection.digest, header)
    // A copy, because a filter may take its time and the memory is used again.
    this.#filter(0, next < length ? Buffer.from(buffer.subarray(next, length)) : null)
  }

  onEnd(): void {
    // A client that only looks whether somebody listens does no wrong.
    const text = 'PROXY header: the connection ended within it'
    this.#dismiss(this.#reader.begun ? new ProxyError('PGR_PROXY_HEADER_INVALID', text) : 'left')
  }

  onDrain(): void {
    // Nothing is written.
  }

  onClose(): void {
    this.#dismiss('left')
  }

  #readHeader(buffer: Buffer, length: number): ProxyHeader | null {
    try {
      return this.#reader.read(buffer, 0, length)
    } catch (thrown) {
      this.#dismiss(toProxyError(thrown, 'PGR_PROXY_HEADER_INVALID'))
      return null
    }
  }

  /** Asks the filters from the one at `index` on; waits only for those that do. */
  #filter(index: number, prefix: Buffer | null): void {
    this.#isKnown = true
    const filter = this.#rules.filters[index]
    if (filter === undefined) {
      if (this.#end()) this.#owner.admitted(this, prefix)
      return
    }
    const decide = (accepts: boolean): void => {
      if (accepts) this.#filter(index + 1, prefix)
      else this.#dismiss('denied')
    }
    const verdict = this.#ask(filter)
    if (typeof verdict === 'boolean') decide(verdict)
    else verdict.then(decide, this.#filterThrew)
  }

  #ask(filter: ConnectionFilter): boolean | Promise<boolean> {
    try {
      return filter.shouldAccept(this.connection.digest)
    } catch (thrown) {
      this.#filterThrew(thrown)
      return false
    }
  }

  readonly #filterThrew = (thrown: unknown): void => {
    const text = `the connection filter threw: ${describeThrown(thrown)}`
    this.#dismiss(new ProxyError('PGR_HOOK_FAILED', text, { cause: thrown }))
  }

  #tooSlow(): ProxyError {
    if (!this.#isKnown) return new ProxyError('PGR_PROXY_HEADER_TIMEOUT')
    const text = `the connection filter took longer than ${this.#rules.timeoutMs} ms`
    return new ProxyError('PGR_HOOK_FAILED', text)
  }

  #dismiss(why: ProxyError | 'denied' | 'left'): void {
    if (!this.#end()) return
    this.connection.destroy()
    this.#owner.dismissed(this, why)
  }

  /** Whether it was not over already. */
  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#deadline.dispose()
    return true
  }
}
