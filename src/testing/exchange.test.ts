/** An exchange is plain data, and short text. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ProxyError } from '../error/index.js'
import { ByteLog } from './byte-log.js'
import { makeExchange } from './exchange.js'
import type { Exchange, ExchangeFacts } from './exchange.js'
import { RawMessageReader } from './raw-message-reader.js'
import type { RawMessage } from './raw-message.js'

const FACTS: ExchangeFacts = {
  connectionOpen: true,
  failure: '',
  fault: '',
  tookMs: 5,
  attempts: [],
  hooks: [],
  logs: [],
  counters: {},
}

/** The exchange in which `text` came, up to the end of the connection. */
function exchangeOf(text: string, facts: Partial<ExchangeFacts> = {}): Exchange {
  const bytes = new ByteLog()
  bytes.append(Buffer.from(text, 'latin1'))
  const reader = new RawMessageReader(bytes)
  const messages: RawMessage[] = []
  for (let message = reader.next('GET', 'ended'); message; message = reader.next('GET', 'ended')) {
    messages.push(message)
    if (!message.complete) break
  }
  return makeExchange(messages, { ...FACTS, ...facts })
}

describe('an exchange', () => {
  test('has the interim responses apart from the final one, and all bytes of both', () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const final =
      'HTTP/1.1 200 OK\r\nX-b: 1\r\nTransfer-Encoding: chunked\r\nX-B: 2\r\n\r\n' +
      '3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n'
    const exchange = exchangeOf(early + final)
    assert.equal(exchange.status, 200)
    assert.equal(exchange.reason, 'OK')
    assert.deepEqual(exchange.headers.getAll('x-b'), ['1', '2'])
    assert.deepEqual(
      exchange.interim.map((interim) => [interim.status, interim.headers.get('link')]),
      [[103, '</a>']],
    )
    assert.equal(exchange.text, 'abc')
    assert.equal(exchange.trailers.get('X-Sum'), '9')
    assert.equal(exchange.raw.toString('latin1'), early + final)
    assert.equal(exchange.complete, true)
  })

  test('has the part of an answer that came', () => {
    const exchange = exchangeOf('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
    assert.equal(exchange.status, 200)
    assert.equal(exchange.text, 'abc')
    assert.equal(exchange.complete, false)
  })

  test('has no status and no body when not even a head came', () => {
    const exchange = exchangeOf('HTTP/1.1 20')
    assert.equal(exchange.status, 0)
    assert.equal(exchange.text, '')
    assert.equal(exchange.raw.toString(), 'HTTP/1.1 20')
    assert.equal(exchange.complete, false)
  })

  test('takes 101 as the final response', () => {
    assert.equal(exchangeOf('HTTP/1.1 101 Switching Protocols\r\n\r\n').status, 101)
  })

  test('reads as a summary', () => {
    const exchange = exchangeOf('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n', {
      attempts: [
        { peer: '10.0.0.1:80', reused: true, outcome: 'failed', code: 'PGR_X', reason: 'gone' },
        { peer: '10.0.0.2:80', reused: false, outcome: 'ok' },
      ],
      hooks: [
        { name: 'newCtx', atMs: 0 },
        { name: 'responseFilter', atMs: 5, detail: '502' },
      ],
      logs: [{ atMs: 5, level: 'error', message: 'request failed', fields: { code: 'PGR_X' } }],
      error: new ProxyError('PGR_NO_PEER', 'nobody', { context: 'here' }),
    })
    const summary = [
      '502 Bad Gateway (complete, connection open, 5 ms)',
      'Content-Length: 3',
      'body: "no\\n"',
      'attempt: 10.0.0.1:80 (reused) failed: PGR_X, gone',
      'attempt: 10.0.0.2:80 ok',
      'error: PGR_NO_PEER, nobody (here)',
      'hooks: newCtx @0, responseFilter 502 @5',
      'log @5: error request failed code=PGR_X',
    ].join('\n  ')
    assert.equal(String(exchange), summary)
    assert.equal(inspect(exchange), summary)
    assert.ok(!Object.keys(exchange).includes('toString'), 'comparisons see the data alone')
  })

  test('says in its summary what is wrong', () => {
    const facts = { connectionOpen: false, failure: 'ended', fault: 'no response came' } as const
    assert.equal(
      String(makeExchange([], { ...FACTS, ...facts })),
      'no response (incomplete, ended: no response came, connection closed, 5 ms)\n  no body',
    )
  })
})
