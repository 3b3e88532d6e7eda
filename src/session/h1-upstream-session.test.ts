import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RecordingConnection } from '../../test/helpers/recording-connection.js'
import type { ProxyError } from '../error/index.js'
import { RequestHeader } from '../http/index.js'
import type { HeaderMap, ResponseHeader } from '../http/index.js'
import { DeadlineWheel, ManualClock } from '../time/index.js'
import { H1UpstreamSession } from './h1-upstream-session.js'
import type { UpstreamHandler } from './upstream-session.js'

/** Writes down what it is told; may pause the session on the way. */
class Log implements UpstreamHandler {
  readonly calls: string[] = []
  session: H1UpstreamSession | null = null
  /** Pauses after the call that starts with this. */
  pausesAt = 'never'

  onInterim({ status }: ResponseHeader): void {
    this.#add(`interim ${status}`)
  }
  onResponse({ status }: ResponseHeader, bodyLength: number): void {
    this.#add(`head ${status} ${bodyLength}`)
  }
  onResponseData(buffer: Buffer, from: number, to: number): void {
    this.#add(`data ${buffer.toString('latin1', from, to)}`)
  }
  onResponseEnd(trailers: HeaderMap | null): void {
    this.#add(`end ${trailers?.size ?? 0}`)
  }
  onReadEnd(): void {}
  onUpstreamDrain(): void {
    this.#add('drain')
  }
  onUpstreamError({ code, retry }: ProxyError): void {
    this.#add(`error ${code} ${retry}`)
  }

  /** The calls since the last look. */
  take(): string[] {
    return this.calls.splice(0)
  }

  #add(call: string): void {
    this.calls.push(call)
    if (call.startsWith(this.pausesAt)) this.session?.pause()
  }
}

interface Setup {
  readonly connection: RecordingConnection
  readonly clock: ManualClock
  readonly log: Log
  open(): H1UpstreamSession
}

function setup(): Setup {
  const connection = new RecordingConnection()
  const clock = new ManualClock()
  const deadlines = new DeadlineWheel(clock)
  const log = new Log()
  const timeouts = { readTimeoutMs: 60_000, writeTimeoutMs: 60_000 }
  const open = (): H1UpstreamSession => {
    log.session = H1UpstreamSession.open(connection, log, timeouts, deadlines)
    return log.session
  }
  return { connection, clock, log, open }
}

/** Opens an exchange and sends a request without a body. */
function ask({ open }: Setup, method: string = 'GET'): H1UpstreamSession {
  const session = open()
  session.writeHeader(new RequestHeader(method, '/'), 0)
  session.writeEnd(null)
  return session
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n'

describe('H1UpstreamSession', () => {
  for (const bytes of [OK, CHUNKED, `HTTP/1.1 103 Hints\r\n\r\n${OK}`]) {
    test(`tells the same however the bytes are split: ${JSON.stringify(bytes.slice(-30))}`, () => {
      const whole = setup()
      ask(whole)
      whole.connection.receive(bytes)
      const expected = joined(whole.log.take())
      for (let at = 1; at < bytes.length; at++) {
        const split = setup()
        const session = ask(split)
        split.connection.receive(bytes.slice(0, at))
        split.connection.receive(bytes.slice(at))
        assert.deepEqual(joined(split.log.take()), expected)
        assert.equal(session.reusable, true)
      }
    })
  }

  for (const pausesAt of ['interim', 'head', 'data', 'end']) {
    test(`loses nothing when it is paused at the ${pausesAt}`, () => {
      const it = setup()
      it.log.pausesAt = pausesAt
      const session = ask(it)
      it.connection.receive(`HTTP/1.1 103 Hints\r\n\r\n${CHUNKED}`)
      const before = it.log.calls.length
      it.connection.handler.onEnd()
      assert.equal(it.log.calls.length, before)
      it.log.pausesAt = 'never'
      session.resume()
      const all = ['interim 103', 'head 200 -1', 'data abc', 'end 1']
      assert.deepEqual(it.log.take(), all)
      // The peer's end came with the answer: nobody else can use the connection.
      assert.equal(session.reusable, false)
    })
  }

  test('does not take a reset for the end of a body while it is paused', () => {
    const it = setup()
    it.log.pausesAt = 'data'
    const session = ask(it)
    it.connection.receive('HTTP/1.1 200 OK\r\n\r\nabc')
    it.connection.close(new Error('reset'))
    it.log.pausesAt = 'never'
    session.resume()
    const all = ['head 200 -2', 'data abc', 'error PGR_RESPONSE_BODY_INCOMPLETE no']
    assert.deepEqual(it.log.take(), all)
  })

  test('serves one exchange after the other without a trace of the last one', () => {
    const it = setup()
    const first = ask(it)
    it.connection.receive(OK)
    assert.deepEqual([first.reusable, first.requestStarted], [true, true])
    const second = it.open()
    assert.equal(second, first)
    assert.deepEqual(
      [second.requestStarted, second.responseStarted, second.bodyBytesRead],
      [false, false, 0],
    )
    assert.equal(second.reusable, false)
    second.writeHeader(new RequestHeader('HEAD', '/'), 0)
    second.writeEnd(null)
    it.connection.receive('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
    assert.deepEqual(it.log.take().slice(-2), ['head 200 0', 'end 0'])
    assert.equal(second.reusable, true)
  })

  test('fails when the peer speaks before it was asked', () => {
    const it = setup()
    const session = it.open()
    it.connection.receive(OK)
    assert.deepEqual(it.log.take(), ['error PGR_RESPONSE_INVALID if-reused'])
    assert.equal(session.failure?.code, 'PGR_RESPONSE_INVALID')
    assert.equal(it.connection.destroyed, true)
  })

  test('fails at once on a connection that is gone', () => {
    const it = setup()
    it.connection.destroyed = true
    assert.equal(it.open().failure?.retry, 'if-reused')
  })

  for (const after of ['data', 'FIN']) {
    test(`is not reusable when ${after} follows the answer`, () => {
      const it = setup()
      const session = ask(it)
      it.connection.receive(OK)
      assert.equal(session.reusable, true)
      if (after === 'FIN') it.connection.handler.onEnd()
      else it.connection.receive('HTTP/1.1 200 OK\r\n\r\n')
      assert.equal(session.reusable, false)
    })
  }

  test('counts the peer as late only from the end of the request on', () => {
    const it = setup()
    const session = it.open()
    session.writeHeader(new RequestHeader('POST', '/'), 2)
    it.clock.advance(100_000)
    session.writeBody(Buffer.from('ab'), 0, 2)
    it.clock.advance(100_000)
    assert.deepEqual(it.log.take(), [])
    session.writeEnd(null)
    it.clock.advance(60_050)
    assert.deepEqual(it.log.take(), ['error PGR_UPSTREAM_READ_TIMEOUT no'])
    assert.equal(it.connection.destroyed, true)
  })

  test('does not count the time for which it is paused', () => {
    const it = setup()
    const session = ask(it)
    it.connection.receive('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na')
    session.pause()
    it.clock.advance(200_000)
    session.resume()
    it.clock.advance(59_000)
    assert.deepEqual(it.log.take(), ['head 200 3', 'data a'])
    it.clock.advance(1_100)
    assert.deepEqual(it.log.take(), ['error PGR_UPSTREAM_READ_TIMEOUT no'])
  })

  test('gives a peer that takes bytes slowly a new term each time', () => {
    const it = setup()
    const session = it.open()
    it.connection.pendingBytes = 300
    session.writeHeader(new RequestHeader('POST', '/'), 1_000_000)
    assert.equal(session.writeBody(Buffer.alloc(10_000), 0, 10_000), false)
    for (const left of [200, 100]) {
      it.connection.pendingBytes = left
      it.clock.advance(60_050)
    }
    assert.deepEqual(it.log.take(), [])
    it.clock.advance(60_050)
    assert.deepEqual(it.log.take(), ['error PGR_UPSTREAM_WRITE_TIMEOUT no'])
  })

  test('limits how many interim responses a peer may send', () => {
    const it = setup()
    ask(it)
    it.connection.receive('HTTP/1.1 102 Processing\r\n\r\n'.repeat(33))
    const calls = it.log.take()
    assert.equal(calls.length, 33)
    assert.equal(calls.at(-1), 'error PGR_RESPONSE_INVALID no')
  })

  test('says nothing more after it was given up', () => {
    const it = setup()
    const session = ask(it)
    session.abort()
    it.connection.receive(OK)
    it.connection.close()
    it.clock.advance(200_000)
    assert.deepEqual(it.log.take(), [])
    assert.equal(session.reusable, false)
  })
})

/** The calls with neighbouring data put together: how a body is cut is nobody's business. */
function joined(calls: readonly string[]): string[] {
  const result: string[] = []
  for (const call of calls) {
    const last = result.at(-1)
    if (call.startsWith('data ') && last?.startsWith('data ') === true) {
      result[result.length - 1] = last + call.slice(5)
    } else result.push(call)
  }
  return result
}
