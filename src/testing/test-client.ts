/** `TestClient`: one connection of a client to a proxy in the fake world, and the requests on it. */
import { ProxyError } from '../error/index.js'
import { parseSocketAddress } from '../transport/index.js'
import type { TlsClientOptions } from '../transport/index.js'
import type { MemoryConnection } from '../transport/internal.js'
import { attemptsOf, isInterim, makeExchange } from './exchange.js'
import type { Exchange, ExchangeFailure } from './exchange.js'
import { ByteLog } from './byte-log.js'
import type { RecordedSession } from './hook-recorder.js'
import { RawMessageReader } from './raw-message-reader.js'
import type { RawMessage } from './raw-message.js'
import { TestPeer } from './test-peer.js'
import { encodeRequest } from './test-request.js'
import type { EncodedRequest, TestRequest } from './test-request.js'
import type { WorldHandle } from './world-handle.js'

/** Virtual time that an exchange may take, in ms. */
const EXCHANGE_TIMEOUT_MS = 120_000

/** Where a client comes from. */
export interface TestClientOptions {
  /** Its IP address. Default: `10.255.0.1`. */
  readonly from?: string
  /** Speaks TLS as told here, to a proxy that does. Default: it does not. */
  readonly tls?: Partial<TlsClientOptions>
}

/**
 * A client that does what it is told and nothing else: it never closes, retries or answers by
 * itself. Requests that are made without waiting for the answer to the one before are pipelined.
 */
export class TestClient {
  /** The connection as bytes: to send what is no request, to stop reading, to reset. */
  readonly peer: TestPeer
  readonly #world: WorldHandle
  readonly #session: (index: number) => RecordedSession | undefined
  readonly #takeBack: () => void
  /** Requests whose answer has not come, in order. */
  readonly #waiting: Pending[] = []
  #made = 0
  /** What came is no HTTP: nothing behind it can be told apart. */
  #isLost = false
  /** Settles when all bytes of the requests made so far are written; `null` when they are. */
  #sending: Promise<void> | null = null

  /**
   * Takes a connection that nobody handles yet.
   * @param session what a proxy has recorded of the request with that index on this connection.
   * Default: nothing is known of it.
   */
  constructor(
    world: WorldHandle,
    connection: MemoryConnection,
    session: (index: number) => RecordedSession | undefined = () => undefined,
  ) {
    this.#world = world
    this.#session = session
    this.peer = new TestPeer(world, connection, {
      onChange: () => {
        this.#read()
      },
    })
    this.#takeBack = world.atClose(() => {
      this.peer.destroy()
    })
  }

  /** The client's address, such as `10.255.0.1:49152`. */
  get address(): string {
    return this.peer.connection.digest.localAddress
  }

  /** Whether neither side has ended or closed the connection. */
  get open(): boolean {
    return this.peer.state === 'open' && !this.peer.connection.destroyed
  }

  /** Makes a `GET` request. */
  get(path: string, request: TestRequest = {}): Promise<Exchange> {
    return this.request({ ...request, path })
  }

  /**
   * Makes a request, at once and behind all that was sent before; lets time pass until its answer is
   * there. An answer that does not come whole within 120 s is no rejection: see `failure`. After one
   * that opens a tunnel, 101 or a 2xx to CONNECT, `peer` has what comes through it, as its `rest`.
   */
  request(request: TestRequest = {}): Promise<Exchange> {
    const encoded = encodeRequest(request)
    const pending = this.#expect(encoded.method)
    if (this.#sending === null && encoded.rest.length === 0) this.peer.send(encoded.first)
    else this.#send(encoded, request, pending)
    return this.#exchange(pending)
  }

  /**
   * The answer to one more request, that was sent as bytes: with `peer.send`, or behind the first
   * one in `raw`. @param method of that request. Default: `GET`.
   */
  exchange(method: string = 'GET'): Promise<Exchange> {
    return this.#exchange(this.#expect(method))
  }

  /** Sends latin1 text or bytes that are no request of their own. */
  send(data: string | Uint8Array): void {
    this.peer.send(data)
  }

  /** Closes the connection, and resolves when nothing is left to do at this instant. */
  async close(): Promise<void> {
    this.peer.destroy()
    this.#takeBack()
    await this.#world.idle()
  }

  #expect(method: string): Pending {
    const { clock, counters, logCount } = this.#world
    const pending: Pending = {
      method,
      index: this.#made++,
      startedMs: clock.nowMs(),
      counters: counters.snapshot(),
      logCount,
      messages: [],
      isDone: false,
      doneMs: 0,
    }
    this.#waiting.push(pending)
    return pending
  }

  /** Writes a request whose bytes do not all leave at once, or must wait for one that does not. */
  #send(
    { first, rest }: EncodedRequest,
    { everyMs = 0, expectContinue = false }: TestRequest,
    pending: Pending,
  ): void {
    const before = this.#sending
    const write = async (): Promise<void> => {
      if (before !== null) await before
      this.peer.send(first)
      if (expectContinue) {
        await this.#waitFor(() => pending.messages.length > 0 || !this.open, EXPECT_TIMEOUT_MS)
        if (pending.isDone) return
      }
      for (const [index, piece] of rest.entries()) {
        if (everyMs > 0 && index > 0) await this.#waitFor(() => !this.open, everyMs)
        this.peer.send(piece)
      }
    }
    const sending = write().finally(() => {
      if (this.#sending === sending) this.#sending = null
    })
    this.#sending = sending
    // Only a world that has failed as a whole ends it early, and then the wait for the answer says so.
    sending.catch(() => undefined)
  }

  /** Resolves when `condition` holds or `maxMs` have passed. */
  async #waitFor(condition: () => boolean, maxMs: number): Promise<void> {
    const { clock } = this.#world
    const endMs = clock.nowMs() + maxMs
    // The call does nothing: it makes the end an instant at which conditions are looked at.
    const end = clock.schedule(maxMs, () => undefined)
    try {
      await this.#world.when(() => condition() || clock.nowMs() >= endMs)
    } finally {
      end.cancel()
    }
  }

  async #exchange(pending: Pending): Promise<Exchange> {
    const { clock } = this.#world
    const endMs = pending.startedMs + EXCHANGE_TIMEOUT_MS
    const timeout = clock.schedule(EXCHANGE_TIMEOUT_MS, () => undefined)
    this.#read()
    try {
      const isOver = (): boolean => this.#isOver(pending) || clock.nowMs() >= endMs
      await this.#world.until(isOver, 'an answer', EXCHANGE_TIMEOUT_MS + 1)
    } finally {
      timeout.cancel()
    }
    return this.#finish(pending)
  }

  /** A hook may still be at work when the answer is there: `logging` tells that none is. */
  #isOver({ isDone, index, method, messages }: Pending): boolean {
    if (!isDone) return false
    // The request goes on as long as its tunnel does.
    if (isTunnel(method, messages.at(-1)?.status ?? 0)) return true
    return !this.open || this.#session(index)?.loggings !== 0
  }

  /** Gives what has come to those who wait for it, in the order of their requests. */
  #read(): void {
    for (let pending = this.#waiting[0]; pending; pending = this.#waiting[0]) {
      const message = this.#isLost ? null : this.peer.nextMessage(pending.method)
      if (message === null && this.peer.state === 'open' && !this.#isLost) return
      if (message !== null) {
        pending.messages.push(message)
        if (isInterim(message)) continue
        this.#isLost = !message.complete
      }
      pending.isDone = true
      pending.doneMs = this.#world.clock.nowMs()
      this.#waiting.shift()
    }
  }

  #finish(pending: Pending): Exchange {
    const { counters, clock } = this.#world
    const [failure, fault] = this.#failure(pending)
    const recorded = this.#session(pending.index)
    return makeExchange(pending.messages, {
      connectionOpen: this.open,
      failure,
      fault,
      tookMs: roundMs((pending.isDone ? pending.doneMs : clock.nowMs()) - pending.startedMs),
      attempts: attemptsOf(recorded),
      hooks: [...(recorded?.calls ?? [])],
      logs: this.#world.logSince(pending.logCount),
      counters: changes(pending.counters, counters.snapshot()),
      ...(recorded?.error !== undefined && { error: recorded.error }),
    })
  }

  #failure(pending: Pending): [ExchangeFailure, string] {
    if (!pending.isDone) {
      const partial = this.#partial(pending)
      // The message stays with the connection: should it go on, it is still the answer to this one.
      if (partial !== null) pending.messages.push(partial)
      return ['timeout', partial?.fault.replace('broken', 'timeout') ?? 'no response came']
    }
    const final = pending.messages.find((message) => !isInterim(message))
    if (final?.complete === true) return ['', '']
    const fault = final?.fault ?? 'no response came'
    const { state, closed, errorCode } = this.peer
    // Only what makes no sense ends the reading of a connection that is still open.
    if (fault.startsWith('malformed') || state === 'open') return ['invalid', fault]
    if (state === 'ended') return ['ended', fault]
    return [closed && errorCode === '' ? 'closed' : 'reset', fault]
  }

  /** The part of the answer that has come, when it is this one's turn. */
  #partial(pending: Pending): RawMessage | null {
    if (this.#waiting[0] !== pending) return null
    const bytes = new ByteLog()
    const { received, restBytes } = this.peer
    bytes.append(received.subarray(received.length - restBytes))
    return new RawMessageReader(bytes).next(pending.method, 'broken')
  }
}

/**
 * Connects a client to `address`.
 * @throws {@link ProxyError} (rejects) as `dial` of a network does, and `PGR_CONNECT_TIMEOUT`
 * after 120 s.
 */
export async function dialClient(
  world: WorldHandle,
  address: string,
  { from, tls }: TestClientOptions,
): Promise<MemoryConnection> {
  const giveUp = new AbortController()
  const timeout = world.clock.schedule(EXCHANGE_TIMEOUT_MS, () => {
    giveUp.abort(new ProxyError('PGR_CONNECT_TIMEOUT'))
  })
  try {
    const dialled = world.network.dial(parseSocketAddress(address), {
      ...(from !== undefined && { localAddress: from }),
      forTls: tls !== undefined,
      signal: giveUp.signal,
    })
    const connection = await world.run(dialled, EXCHANGE_TIMEOUT_MS + 1)
    if (tls === undefined) return connection
    const secured = world.network.startTls(connection, { ...ANY_TLS, ...tls }, giveUp.signal)
    return await world.run(secured, EXCHANGE_TIMEOUT_MS + 1)
  } finally {
    timeout.cancel()
  }
}

/** A client that trusts every server. */
const ANY_TLS: TlsClientOptions = {
  sni: '',
  verifyName: '',
  verifyChain: true,
  alpn: [],
  sessionKey: '',
}

/** A request whose answer is awaited. */
interface Pending {
  readonly method: string
  /** How many requests were made on the connection before it. */
  readonly index: number
  readonly startedMs: number
  /** Counters and log as they stood when it was made. */
  readonly counters: Readonly<Record<string, number>>
  readonly logCount: number
  /** What has come for it. */
  readonly messages: RawMessage[]
  /** Whether the final response has come, or never will. */
  isDone: boolean
  doneMs: number
}

/** Whether no HTTP follows behind the response (RFC 9112 §6.3, 1 and 2). */
function isTunnel(method: string, status: number): boolean {
  return status === 101 || (method === 'CONNECT' && status >= 200 && status < 300)
}

/** By how much each counter has changed; those that have not are left out. */
function changes(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const differences = [...names].map((name): [string, number] => [
    name,
    (after[name] ?? 0) - (before[name] ?? 0),
  ])
  return Object.fromEntries(differences.filter(([, change]) => change !== 0))
}

/** To whole microseconds: sums of fractions are not exact, and tests compare. */
function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

/** How long a client waits for 100 (Continue) before it sends the body all the same. */
const EXPECT_TIMEOUT_MS = 1_000
