/** gRPC-Web as the ready-made balancer has it, between a client of HTTP/1 and an upstream of HTTP/2. */
import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { createBalancer, readBalancer } from '../../src/balancer/index.js'
import { ConfigDocument } from '../../src/configuration/index.js'
import type { Exchange, TestRequest } from '../../src/testing/index.js'
import { H2Upstream } from '../helpers/h2-upstream.js'
import { testWorld } from '../helpers/test-world.js'

const BACKEND = '10.0.0.1:80'
const LISTENS = '10.0.0.254:80'

interface Running {
  readonly upstream: H2Upstream
  /** Makes one request; `body` as it is, or in pieces. */
  ask(
    type: string,
    body: TestRequest['body'],
    more?: Readonly<Record<string, string>>,
  ): Promise<Exchange>
}

async function start(
  t: TestContext,
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  grpcWeb = true,
): Promise<Running> {
  const { conf, settings } = readBalancer(
    new ConfigDocument(
      `listeners: [{ address: '${LISTENS}' }]
upstreams: { a: { backends: [{ address: '${BACKEND}' }], protocol: h2c, grpc_web: ${grpcWeb} } }`,
    ),
  )
  const world = testWorld(t)
  const upstream = new H2Upstream(world.network, BACKEND, answer)
  world.atClose(() => upstream.close())
  const services = await world.run(createBalancer(conf, settings, { env: world.env }))
  await world.serve(services, conf)
  return {
    upstream,
    ask: async (type, body, more = {}) => {
      const client = await world.client(LISTENS)
      const headers = { Host: 'a', 'Content-Type': type, ...more }
      const exchange = await client.request({
        method: 'POST',
        path: '/a.B/C',
        headers,
        body: body ?? '',
      })
      await client.close()
      return exchange
    },
  }
}

/** Answers with the messages that came, then with the status. */
function echo(stream: ServerHttp2Stream): void {
  const type = 'application/grpc+proto'
  stream.respond({ ':status': 200, 'content-type': type }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': '0', 'x-tail': ['a', 'b'] })
  })
  stream.pipe(stream)
}

/** A message of gRPC. */
function message(text: string): Buffer {
  const frame = Buffer.alloc(5 + text.length)
  frame.writeUInt32BE(text.length, 1)
  frame.write(text, 5)
  return frame
}

/** What comes behind the messages. */
const END = (() => {
  const lines = 'grpc-status:0\r\nx-tail:a\r\nx-tail:b\r\n'
  const frame = Buffer.concat([message(lines)])
  frame[0] = 0x80
  return frame
})()

/** All groups of base64, each of which may be padded. */
function textOf(body: Buffer): string {
  const groups = body.toString('latin1').match(/.{4}/gs) ?? []
  return groups.map((group) => Buffer.from(group, 'base64').toString('latin1')).join('')
}

describe('gRPC-Web', () => {
  test('in binary becomes gRPC, and back', async (t) => {
    const { upstream, ask } = await start(t, echo)
    const body = Buffer.concat([message('one'), message('two')])
    const answer = await ask('application/grpc-web+proto', body)
    const sent = upstream.requests[0]?.headers
    assert.equal(sent?.['content-type'], 'application/grpc+proto')
    assert.equal(sent.te, 'trailers')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'application/grpc-web+proto')
    assert.deepEqual(answer.body, Buffer.concat([body, END]))
    assert.ok(answer.complete)
  })

  test('in text becomes gRPC, and back, wherever it is cut', async (t) => {
    const { upstream, ask } = await start(t, echo)
    const text = message('one').toString('base64') + message('seven').toString('base64')
    const pieces = [text.slice(0, 3), text.slice(3, 11), text.slice(11)]
    for (const body of [text, pieces]) {
      const answer = await ask('application/grpc-web-text', body)
      assert.equal(answer.headers.get('content-type'), 'application/grpc-web-text+proto')
      const expected = Buffer.concat([message('one'), message('seven'), END])
      assert.equal(textOf(answer.body), expected.toString('latin1'))
    }
    assert.equal(upstream.requests[0]?.headers['content-length'], undefined)
  })

  test('that is no base64 ends with a status', async (t) => {
    const { ask } = await start(t, echo)
    for (const body of ['{"a":1}!', 'QUI']) {
      const answer = await ask('application/grpc-web-text', body)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type'), 'application/grpc-web-text')
      assert.equal(answer.headers.get('grpc-status'), '13')
      assert.equal(answer.headers.get('grpc-message'), '400 Bad Request')
    }
  })

  test('whose answer is nothing but a status keeps its head', async (t) => {
    const { ask } = await start(t, (stream) => {
      const fields = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }
      stream.respond(fields, { endStream: true })
    })
    const answer = await ask('application/grpc-web', message('x'))
    assert.equal(answer.headers.get('grpc-status'), '5')
    assert.equal(answer.headers.get('content-type'), 'application/grpc-web')
    assert.deepEqual([answer.body.length, answer.complete], [0, true])
  })

  test('whose upstream breaks off does not end as if it were whole', async (t) => {
    const { ask } = await start(t, (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      stream.write(message('one'), () => {
        stream.destroy(new Error('broken'))
      })
    })
    const answer = await ask('application/grpc-web', message('x'))
    assert.deepEqual([answer.status, answer.complete], [200, false])
  })

  test('is left alone where the file does not ask for it', async (t) => {
    const { upstream, ask } = await start(t, echo, false)
    await ask('application/grpc-web', message('x'))
    assert.equal(upstream.requests[0]?.headers['content-type'], 'application/grpc-web')
  })
})
