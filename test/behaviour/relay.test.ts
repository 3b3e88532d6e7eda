import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { reply } from '../../src/testing/index.js'
import type { LinkOptions, TestPeer } from '../../src/testing/index.js'
import { UPSTREAM, testProxy } from '../helpers/test-world.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\nok'

/** What goes up and comes down, byte for byte; `date` stands for a Date that the proxy adds. */
interface Passage {
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

/** Where the clock of a world begins. */
const DATE = 'Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

const PASSAGES: readonly Passage[] = [
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
    upstreamGets: `GET / HTTP/1.1\r\nHost: ${UPSTREAM}\r\n\r\n`,
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

describe('the relay passes on', () => {
  for (const passage of PASSAGES) {
    test(passage.name, async (t) => {
      const { client, origin } = await pass(t, passage)
      assert.equal(client.text, passage.clientGets)
      assert.equal(origin.text, passage.upstreamGets)
    })

    for (const split of ['bytes', 'random'] as const) {
      test(`${passage.name} (in pieces: ${split})`, async (t) => {
        const { client, origin } = await pass(t, passage, { split })
        // Each piece of a chunked body is a chunk of its own; what the chunks hold is the same.
        assert.equal(withoutChunks(client.text), withoutChunks(passage.clientGets))
        assert.equal(withoutChunks(origin.text), withoutChunks(passage.upstreamGets))
      })
    }
  }
})

/** Sends both messages of a passage over links like `link`. */
async function pass(
  t: TestContext,
  passage: Passage,
  link: LinkOptions = {},
): Promise<{ readonly client: TestPeer; readonly origin: TestPeer }> {
  const { world, proxy, upstream } = await testProxy(t, { world: { link } })
  const { peer: client } = await proxy.client()
  client.send(passage.sends)
  const origin = await upstream.next()
  await origin.request()
  origin.send(passage.upstreamSends)
  if (passage.upstreamEnds === true) origin.end()
  await world.idle()
  const [session] = proxy.sessions
  assert.deepEqual([session?.loggings, session?.error], [1, undefined])
  assert.equal(client.ended, passage.closes === true)
  return { client, origin }
}

/** Leaves out the lines that say how long the chunks are, and the ends of the chunks. */
function withoutChunks(text: string): string {
  const [head = '', ...rest] = text.split('\r\n\r\n')
  if (!/^transfer-encoding: chunked$/im.test(head)) return text
  return [head, ...rest.map((part) => part.replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, ''))].join(
    '\r\n\r\n',
  )
}

describe('the relay', () => {
  test('waits for the 100 of the upstream before the client sends its body', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const { peer: client } = await proxy.client()
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n'
    client.send(head)
    const origin = await upstream.next()
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
    await client.untilText(OK + OK)
    assert.equal(client.text, `HTTP/1.1 100 Continue\r\n\r\n${OK}${OK}`)
    assert.equal(proxy.sessions.length, 2)
  })

  test('passes on a refusal of the expectation, and closes: the body may still come', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const client = await proxy.client()
    const exchange = client.request({ method: 'POST', body: 'body', expectContinue: true })
    const origin = await upstream.next()
    await origin.untilText('\r\n\r\n')
    origin.send(reply(417, 'no').bytes)
    const { status, headers, text } = await exchange
    assert.deepEqual([status, headers.get('Connection'), text], [417, 'close', 'no'])
    await client.peer.untilEnded()
    await origin.untilEnded()
    assert.ok(!origin.text.includes('body'))
    assert.equal(client.peer.errorCode, '')
  })

  test('answers pipelined requests with mixed bodies in order', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer((request) => reply(200, `${request.startLine} ${request.text}`))
    const client = await proxy.client()
    const exchanges = await Promise.all(
      Array.from({ length: 60 }, (_, n) => {
        const path = `/${n}`
        if (n % 3 === 0) return client.get(path)
        if (n % 3 === 1) return client.request({ method: 'POST', path, body: 'GET ' })
        const body = n % 2 === 0 ? ['ab', 'c'] : ['a', 'bc']
        return client.request({ method: 'PUT', path, body })
      }),
    )
    for (const [n, { text }] of exchanges.entries()) {
      const expected = [`GET /${n} HTTP/1.1 `, `POST /${n} HTTP/1.1 GET `, `PUT /${n} HTTP/1.1 abc`]
      assert.equal(text, expected[n % 3])
    }
    assert.equal(upstream.connections.length, 1)
  })

  test('sends a small head and its body in one write, both ways', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(reply(200, 'abcd', { chunked: [2] }))
    const client = await proxy.client()
    for (let round = 1; round <= 2; round++) {
      assert.equal((await client.request({ method: 'POST', body: 'hello' })).text, 'abcd')
      assert.equal(upstream.connections[0]?.pieces, round)
      assert.equal(client.peer.pieces, round)
    }
  })

  test('passes the head on before the body ends, both ways', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    const { peer: client } = await proxy.client()
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na')
    const origin = await upstream.next()
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
    assert.equal(proxy.sessions[0]?.loggings, 1)
  })

  test('closes after the response when a hook asks for it', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        earlyRequestFilter: (session) => {
          session.closeAfterResponse()
        },
      },
    })
    upstream.answer(OK)
    const client = await proxy.client()
    assert.equal((await client.get('/')).headers.get('Connection'), 'close')
    await client.peer.untilEnded()
  })

  test('goes on with the next request after a body-less answer to each method', async (t) => {
    const { proxy, upstream } = await testProxy(t)
    upstream.answer(({ method }) =>
      method === 'HEAD' ? reply(200, '', { chunked: true }) : reply(204),
    )
    const client = await proxy.client()
    for (const method of ['HEAD', 'GET', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS']) {
      const { status } = await client.request({ method })
      assert.equal(status, method === 'HEAD' ? 200 : 204)
    }
    assert.equal(upstream.connections.length, 1)
  })
})
