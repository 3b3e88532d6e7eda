import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Session } from '../../../src/proxy/index.js'
import { ProxyUnderTest } from '../../helpers/proxy-under-test.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\nok'

/** What goes up and comes down, byte for byte; `date` stands for a Date that the proxy adds. */
interface Exchange {
  readonly name: string
  readonly sends: string
  readonly upstreamGets: string
  readonly upstreamSends: string
  readonly clientGets: string
  /** The upstream ends the connection after its answer. */
  readonly upstreamEnds?: boolean
  /** The client's connection closes after the answer. */
  readonly closes?: boolean
}

/** Of the manual clock: 2026-01-01. */
const DATE = 'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

const EXCHANGES: readonly Exchange[] = [
  {
    name: 'a GET',
    sends: 'GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: raw\r\n\r\n',
    upstreamGets: 'GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: raw\r\n\r\n',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'a POST with a length',
    sends: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    upstreamGets: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'a chunked POST, its extensions dropped and its trailers kept',
    sends:
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n',
    upstreamGets:
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'a chunked POST without data',
    sends: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    upstreamGets: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'a HEAD, whose answer has a length and no body',
    sends: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamGets: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends: 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nDate: x\r\n\r\n',
    clientGets: 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nDate: x\r\n\r\n',
  },
  {
    name: 'a 204, whose length is dropped',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nDate: x\r\n\r\n',
    clientGets: 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n',
  },
  {
    name: 'a 304, whose length stays',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: 'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\nContent-Length: 9\r\nDate: x\r\n\r\n',
    clientGets: 'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\nContent-Length: 9\r\nDate: x\r\n\r\n',
  },
  {
    name: 'a response without Date, which gets one',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    clientGets: `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${DATE}\r\n`,
  },
  {
    name: 'order, case and repeats of fields, and bytes above ASCII, both ways',
    sends: 'GET /\xe9 HTTP/1.1\r\nhOsT: a\r\nX-B: \xff\xfe\r\nx-a: 1\r\nX-b: 2\r\n\r\n',
    upstreamGets: 'GET /\xe9 HTTP/1.1\r\nhOsT: a\r\nX-B: \xff\xfe\r\nx-a: 1\r\nX-b: 2\r\n\r\n',
    upstreamSends:
      'HTTP/1.1 299 Sch\xf6n\r\nset-cookie: a\r\ndAtE: \xfc\r\nSet-Cookie: b\r\ncontent-length: 1\r\n\r\n\x80',
    clientGets:
      'HTTP/1.1 299 Sch\xf6n\r\nset-cookie: a\r\ndAtE: \xfc\r\nSet-Cookie: b\r\ncontent-length: 1\r\n\r\n\x80',
  },
  {
    name: 'hop-by-hop fields, stripped both ways with those that Connection names',
    sends:
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, keep-alive, Upgrade, HTTP2-Settings\r\nX-Hop: 1\r\n' +
      'Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n' +
      'Proxy-Connection: x\r\nProxy-Authorization: y\r\nX-End: 2\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\n\r\n',
    upstreamSends:
      'HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n' +
      'Proxy-Authenticate: z\r\nUpgrade: h2c\r\nContent-Length: 0\r\nDate: x\r\n\r\n',
    clientGets: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: x\r\n\r\n',
  },
  {
    name: 'an absolute-form target, which replaces Host',
    sends: 'GET http://b.example:8080/p?q HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamGets: 'GET /p?q HTTP/1.1\r\nHost: b.example:8080\r\n\r\n',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'OPTIONS *',
    sends: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamGets: 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends: OK,
    clientGets: OK,
  },
  {
    name: 'an HTTP/1.0 request without Host, which gets the address of the peer, and is closed',
    sends: 'GET / HTTP/1.0\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: PEER\r\n\r\n',
    upstreamSends: OK,
    clientGets: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\nConnection: close\r\n\r\nok',
    closes: true,
  },
  {
    name: 'an HTTP/1.0 request that wants to keep the connection',
    sends: 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends: OK,
    clientGets:
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\nConnection: keep-alive\r\n\r\nok',
  },
  {
    name: 'a chunked response to an HTTP/1.0 client, ended by the close',
    sends: 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: x\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n',
    clientGets: 'HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nok',
    closes: true,
  },
  {
    name: 'a response without length to an HTTP/1.1 client, in chunks',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: 'HTTP/1.1 200 OK\r\nDate: x\r\n\r\nall of it',
    upstreamEnds: true,
    clientGets:
      'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n',
  },
  {
    name: 'a response without length to an HTTP/1.0 client, ended by the close',
    sends: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends: 'HTTP/1.0 200 OK\r\nDate: x\r\n\r\nall of it',
    upstreamEnds: true,
    clientGets: 'HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nall of it',
    closes: true,
  },
  {
    name: 'trailers to a client that takes them',
    sends: 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n',
    upstreamGets: GET,
    upstreamSends:
      'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-T: 1\r\n\r\n',
    clientGets:
      'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-T: 1\r\n\r\n',
  },
  {
    name: 'no trailers to a client that did not ask for them',
    sends: GET,
    upstreamGets: GET,
    upstreamSends:
      'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-T: 1\r\n\r\n',
    clientGets:
      'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  },
  {
    name: 'interim responses before the final one',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${OK}`,
    clientGets: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${OK}`,
  },
  {
    name: 'no interim response to an HTTP/1.0 client',
    sends: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
    upstreamGets: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    upstreamSends: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
    clientGets: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\nConnection: close\r\n\r\nok',
    closes: true,
  },
  {
    name: 'Connection: close of the client',
    sends: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    upstreamGets: GET,
    upstreamSends: OK,
    clientGets: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\nConnection: close\r\n\r\nok',
    closes: true,
  },
  {
    name: 'Connection: close of the upstream, which is no matter of the client',
    sends: GET,
    upstreamGets: GET,
    upstreamSends: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nDate: x\r\n\r\nok',
    upstreamEnds: true,
    clientGets: OK,
  },
]

for (const usesHandles of [true, false]) {
  describe(`the relay, on ${usesHandles ? 'TCP handles' : 'sockets'}, passes on`, () => {
    for (const exchange of EXCHANGES) {
      test(exchange.name, (t) => passesOn(t, exchange, usesHandles))
    }
  })
}

async function passesOn(t: TestContext, exchange: Exchange, usesHandles: boolean): Promise<void> {
  const proxy = await ProxyUnderTest.start(t, { usesHandles })
  const client = await proxy.client()
  client.send(exchange.sends)
  const origin = await proxy.upstream.next()
  const expected = exchange.upstreamGets.replace('PEER', proxy.upstream.address)
  await origin.untilText(expected)
  origin.send(exchange.upstreamSends)
  if (exchange.upstreamEnds === true) origin.end()
  await client.until(() => client.text.length >= exchange.clientGets.length, 'the response')
  await proxy.untilLogged(1)
  if (exchange.closes === true) await client.untilEnded()
  assert.equal(client.text, exchange.clientGets)
  assert.equal(origin.text, expected)
  if (exchange.closes !== true) assert.equal(client.ended, false)
  assert.equal(proxy.logged[0]?.error, undefined)
}

describe('the relay', () => {
  test('waits for the 100 of the upstream before the client sends its body', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n'
    client.send(head)
    const origin = await proxy.upstream.next()
    await origin.untilText(head)
    origin.send('HTTP/1.1 100 Continue\r\n\r\n')
    await client.untilText('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('body')
    await origin.untilText(`${head}body`)
    origin.send(OK)
    await client.untilText(OK)
    client.send(GET)
    await origin.untilText(GET)
    origin.send(OK)
    await proxy.untilLogged(2)
  })

  test('passes on a refusal of the expectation, and closes: the body may still come', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\nDate: x\r\n\r\nno')
    const answer = await client.response()
    assert.equal(answer.head.includes('Connection: close\r\n'), true)
    assert.equal(answer.body, 'no')
    await client.untilEnded()
    await origin.untilEnded()
    assert.equal(client.errorCode, '')
  })

  test('answers pipelined requests with mixed bodies in order', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer((request) => {
      const text = `${request.startLine} ${request.body}`
      return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
    })
    const client = await proxy.client()
    const count = 60
    let all = ''
    for (let n = 0; n < count; n++) {
      if (n % 3 === 0) all += `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`
      if (n % 3 === 1) all += `POST /${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET `
      if (n % 3 === 2) {
        all += `PUT /${n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n`
      }
    }
    client.send(all)
    for (let n = 0; n < count; n++) {
      const expected = [`GET /${n} HTTP/1.1 `, `POST /${n} HTTP/1.1 GET `, `PUT /${n} HTTP/1.1 abc`]
      assert.equal((await client.response()).body, expected[n % 3])
    }
    assert.equal(proxy.upstream.peers.length, 1)
  })

  test('answers requests that come byte by byte', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer(
      (request) => `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${request.body}`,
    )
    const client = await proxy.client()
    const bytes =
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n'
    for (const byte of bytes) {
      client.send(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal((await client.response()).body, 'abc')
  })

  test('sends a small head and its body in one write, both ways', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    for (let round = 1; round <= 2; round++) {
      client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
      const origin = proxy.upstream.peers[0] ?? (await proxy.upstream.next())
      await origin.request()
      assert.equal(origin.chunks.length, round)
      origin.send(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n',
      )
      assert.equal((await client.response()).body, 'abcd')
      assert.equal(client.chunks.length, round)
    }
  })

  test('passes the head on before the body ends, both ways', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    const client = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na')
    const origin = await proxy.upstream.next()
    await origin.untilText('\r\n\r\na')
    origin.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nA')
    await client.untilText('\r\n\r\nA')
    client.send('b')
    await origin.untilText('\r\n\r\nab')
    origin.send('B')
    await client.untilText('\r\n\r\nAB')
    client.send('cd')
    await origin.untilText('abcd')
    origin.send('CD')
    await client.untilText('ABCD')
    await proxy.untilLogged(1)
  })

  test('closes after the response when a hook asks for it', async (t) => {
    const earlyRequestFilter = (session: Session): void => {
      session.closeAfterResponse()
    }
    const proxy = await ProxyUnderTest.start(t, { hooks: { earlyRequestFilter } })
    proxy.upstream.answer(OK)
    const client = await proxy.client()
    client.send(GET)
    assert.ok((await client.response()).head.includes('Connection: close\r\n'))
    await client.untilEnded()
  })

  test('goes on with the next request after a body-less answer to each method', async (t) => {
    const proxy = await ProxyUnderTest.start(t)
    proxy.upstream.answer((request) =>
      request.startLine.startsWith('HEAD')
        ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        : 'HTTP/1.1 204 No Content\r\n\r\n',
    )
    const client = await proxy.client()
    for (const method of ['HEAD', 'GET', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS']) {
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
      const { status } = await client.response(method)
      assert.equal(status, method === 'HEAD' ? 200 : 204)
    }
    assert.equal(proxy.upstream.peers.length, 1)
  })
})
