/** Judges what the proxy did: attempts, log entries and counters, and what the upstreams got of it. */
import type { ScriptedUpstream, TestWorld } from '../../src/testing/index.js'
import type { RecordedSession } from '../../src/testing/hook-recorder.js'
import type { Ledger } from './ledger.js'
import { Violation } from './violation.js'

/** @throws {@link Violation} `logging`, `max-attempts`, `malformed`. */
export function judgeSessions(
  sessions: ReadonlyMap<string, RecordedSession>,
  ledger: Ledger,
  maxRetries: number,
): void {
  for (const [id, { session, loggings }] of sessions) {
    if (loggings !== 1) throw new Violation('logging', `${id}: logged ${loggings} times`)
    const { length } = session.attempts
    if (length > maxRetries) {
      throw new Violation('max-attempts', `${id}: ${length} attempts, allowed are ${maxRetries}`)
    }
    if (ledger.requests.get(id)?.fault === 'head') {
      throw new Violation('malformed', `${id} was taken for a request`)
    }
  }
}

/** The sessions by the ids of their requests. @throws {@link Violation} when one comes twice. */
export function sessionsById(
  sessions: readonly RecordedSession[],
  idOf: (target: string) => string,
): Map<string, RecordedSession> {
  const byId = new Map<string, RecordedSession>()
  for (const recorded of sessions) {
    const id = idOf(recorded.session.reqHeader.target)
    if (byId.has(id)) throw new Violation('logging', `${id} was a request twice`)
    byId.set(id, recorded)
  }
  return byId
}

/**
 * What must not be done twice has reached upstreams once, as far as any byte of it came; and nothing
 * was sent more often than there were attempts. @throws {@link Violation}.
 */
export function judgeCaptures(
  upstreams: readonly ScriptedUpstream[],
  ledger: Ledger,
  maxRetries: number,
): void {
  const times = new Map<string, number>()
  const count = (id: string): void => {
    times.set(id, (times.get(id) ?? 0) + 1)
  }
  for (const { requests, connections } of upstreams) {
    for (const request of requests) count(REQUEST.exec(request.startLine)?.[1] ?? '')
    // What was not answered, and what did not come whole.
    for (const { restBytes, rest } of connections.filter((peer) => peer.restBytes > 0)) {
      if (restBytes === 0) continue
      for (const [, id = ''] of rest.matchAll(REQUESTS)) count(id)
    }
  }
  for (const [id, number] of times) {
    const request = ledger.requests.get(id)
    if (request === undefined) throw new Violation('request-bytes', `nobody sent ${id}`)
    if (request.fault === 'head') throw new Violation('malformed', `${id} came to an upstream`)
    if (number > 1 && request.method === 'POST') {
      throw new Violation('sent-twice', `POST ${id} came ${number} times`)
    }
    if (number > maxRetries) {
      throw new Violation('max-attempts', `${id} came ${number} times, allowed are ${maxRetries}`)
    }
  }
}

/** @throws {@link Violation} `counters`. */
export function judgeCounters(world: TestWorld, sessions: readonly RecordedSession[]): void {
  const { counters } = world
  const attempts = sessions.flatMap(({ session }) => session.attempts)
  const expected = {
    downstreamConnectionsOpen: 0,
    requests: sessions.length,
    attempts: attempts.length,
    retries: sessions.reduce(
      (sum, { session }) => sum + Math.max(0, session.attempts.length - 1),
      0,
    ),
    upstreamConnectionsReused: attempts.filter(({ reused }) => reused).length,
    uncaughtErrors: 0,
  }
  for (const [name, value] of Object.entries(expected)) {
    const counted = counters.get(name as keyof typeof expected)
    if (counted !== value) throw new Violation('counters', `${name} is ${counted}, not ${value}`)
  }
}

const REQUEST = /^[A-Z]+ \/(c\d+r\d+)[? ]/
const REQUESTS = /(?:GET|HEAD|POST|PUT|DELETE) \/(c\d+r\d+)[? ]/g
