/** `Exchange`: what became of one request: the answer as the client saw it, and how the proxy came to it. */
import { inspect } from 'node:util'
import type { ProxyError } from '../error/index.js'
import type { Attempt } from '../proxy/index.js'
import { HeaderFields } from './header-fields.js'
import type { HookCall, RecordedSession } from './hook-recorder.js'
import { logText } from './log.js'
import type { LogRecord } from './log.js'
import type { RawMessage } from './raw-message.js'

/** A 1xx response that came before the final one. */
export interface InterimResponse {
  /** Such as 103. */
  readonly status: number
  /** Its fields. */
  readonly headers: HeaderFields
}

/** One try of the proxy to get an answer from an upstream. */
export interface ExchangeAttempt {
  /** The address that it went to. */
  readonly peer: string
  /** Whether the connection came from the pool. */
  readonly reused: boolean
  /** What became of it; `open`: it still went on when the exchange was over. */
  readonly outcome: 'ok' | 'failed' | 'open'
  /** The code of the error that ended it. */
  readonly code?: string
  /** The text of that error. */
  readonly reason?: string
}

/**
 * Why there is no complete answer. Empty: there is one. `refused`: no connection could be made.
 * `ended`: the proxy ended the connection (FIN). `reset`: it broke the connection (RST). `closed`:
 * this side closed it. `invalid`: what came is no HTTP/1 response. `timeout`: nothing more came.
 */
export type ExchangeFailure = '' | 'refused' | 'ended' | 'reset' | 'closed' | 'invalid' | 'timeout'

/** What is known of an exchange besides the bytes of the answer. */
export interface ExchangeFacts {
  /** Whether the connection could take another request when the answer was there. */
  readonly connectionOpen: boolean
  /** Why the answer is not complete; empty when it is. */
  readonly failure: ExchangeFailure
  /** The same in words, such as `ended in the body`; empty when it is. */
  readonly fault: string
  /** From the request, made on a connection that stood, to the answer; in virtual ms. */
  readonly tookMs: number
  /** What the proxy tried, in order. Empty for a request that was refused before it met a hook. */
  readonly attempts: readonly ExchangeAttempt[]
  /** The calls of the proxy's hooks for this request, in order. */
  readonly hooks: readonly HookCall[]
  /** The log lines of the world from the request to the answer, those of other requests included. */
  readonly logs: readonly LogRecord[]
  /** The counters that changed between request and answer, and by how much. */
  readonly counters: Readonly<Record<string, number>>
  /** What `logging` was told; absent when the request succeeded or never got that far. */
  readonly error?: ProxyError
}

/**
 * One request and its answer, as plain data. As text (`String(exchange)`, `util.inspect`) it is a
 * summary of a few lines, such as for the message of an assertion.
 */
export interface Exchange extends ExchangeFacts {
  /** Of the final response; 0 when its head did not come. */
  readonly status: number
  /** The reason phrase. */
  readonly reason: string
  /** The fields of the final response, in the order of the wire. */
  readonly headers: HeaderFields
  /** The 1xx responses before it. */
  readonly interim: readonly InterimResponse[]
  /** The body without its framing, as far as it came. */
  readonly body: Buffer
  /** The body as UTF-8 text. */
  readonly text: string
  /** The fields after a chunked body. */
  readonly trailers: HeaderFields
  /** Every byte of the answer, interim responses included. */
  readonly raw: Buffer
  /** Whether the final response came whole, by its framing. */
  readonly complete: boolean
  /** The summary. */
  toString(): string
}

/**
 * Puts an exchange together.
 * @param messages the responses that were read: interim ones first, the final one last, if it came.
 */
export function makeExchange(messages: readonly RawMessage[], facts: ExchangeFacts): Exchange {
  const interim = messages.filter(isInterim)
  const final = messages.find((message) => !isInterim(message))
  // Of a head that did not come whole all bytes count as body; they are none.
  const body = final === undefined || final.status === 0 ? Buffer.alloc(0) : final.body
  const exchange: Exchange = {
    status: final?.status ?? 0,
    reason: final?.reason ?? '',
    headers: final?.headers ?? new HeaderFields(),
    interim: interim.map(({ status, headers }) => ({ status, headers })),
    body,
    text: body.toString(),
    trailers: final?.trailers ?? new HeaderFields(),
    raw: Buffer.concat(messages.map((message) => message.raw)),
    complete: final?.complete ?? false,
    ...facts,
  }
  const summary = (): string => summarize(exchange)
  // Not enumerable, so that comparisons see nothing but the data.
  return Object.defineProperties(exchange, {
    toString: { value: summary },
    [inspect.custom]: { value: summary },
  })
}

/** Whether a final response follows; 101 is one, for after it HTTP is over (RFC 9110 §15.2.2). */
export function isInterim({ status, complete }: RawMessage): boolean {
  return complete && status >= 100 && status < 200 && status !== 101
}

/** The attempts of a session as plain data. @param recorded `undefined`: there was no session. */
export function attemptsOf(recorded: RecordedSession | undefined): ExchangeAttempt[] {
  const attempts = recorded?.session.attempts ?? []
  return attempts.map((attempt, index) => {
    // What a hook threw after a failed connect ends the request, not the attempt; it has failed too.
    const isLast = index === attempts.length - 1
    const error = attempt.error ?? (isLast ? recorded?.error : undefined)
    return describeAttempt(attempt, error, recorded?.loggings === 0 && isLast)
  })
}

function describeAttempt(
  { peer, reused }: Attempt,
  error: ProxyError | undefined,
  isOpen: boolean,
): ExchangeAttempt {
  const facts = { peer: peer.address, reused }
  if (error === undefined) return { ...facts, outcome: isOpen ? 'open' : 'ok' }
  return { ...facts, outcome: 'failed', code: error.code, reason: error.message }
}

function summarize(exchange: Exchange): string {
  const { status, reason, failure, fault, connectionOpen, tookMs } = exchange
  const answer = status === 0 ? 'no response' : `${status} ${reason}`
  const state = [
    exchange.complete ? 'complete' : 'incomplete',
    ...(failure === '' ? [] : [`${failure}: ${fault}`]),
    `connection ${connectionOpen ? 'open' : 'closed'}`,
    `${tookMs} ms`,
  ]
  const lines = [
    ...exchange.interim.map((interim) => `interim: ${interim.status}`),
    ...exchange.headers.entries.map(([name, value]) => `${name}: ${value}`),
    exchange.body.length === 0 ? 'no body' : `body: ${excerpt(exchange.body)}`,
    ...exchange.trailers.entries.map(([name, value]) => `trailer: ${name}: ${value}`),
    ...exchange.attempts.map(attemptLine),
    ...(exchange.error === undefined ? [] : [`error: ${errorLine(exchange.error)}`]),
    ...(exchange.hooks.length === 0 ? [] : [`hooks: ${exchange.hooks.map(hookText).join(', ')}`]),
    ...exchange.logs.slice(-MAX_LOG_LINES).map(logLine),
  ]
  return [`${answer} (${state.join(', ')})`, ...lines].join('\n  ')
}

function excerpt(body: Buffer): string {
  const text = JSON.stringify(body.toString('latin1', 0, MAX_BODY_LENGTH))
  return body.length <= MAX_BODY_LENGTH ? text : `${text} … (${body.length} bytes)`
}

function attemptLine({ peer, reused, outcome, code, reason }: ExchangeAttempt): string {
  const why = code === undefined ? '' : `: ${code}, ${reason ?? ''}`
  return `attempt: ${peer}${reused ? ' (reused)' : ''} ${outcome}${why}`
}

function errorLine(error: ProxyError): string {
  return `${error.code}, ${error.message}${error.context === '' ? '' : ` (${error.context})`}`
}

function hookText({ name, atMs, detail }: HookCall): string {
  return `${name}${detail === undefined ? '' : ` ${detail}`} @${atMs}`
}

function logLine(record: LogRecord): string {
  return `log @${record.atMs}: ${logText(record)}`
}

/** A summary stays readable: long bodies and talkative logs are cut. */
const MAX_BODY_LENGTH = 200
const MAX_LOG_LINES = 10
