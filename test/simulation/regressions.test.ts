import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reply } from '../../src/testing/index.js'
import { UPSTREAM, testProxy } from '../helpers/test-world.js'

describe('found by the simulation:', () => {
  test('a stop that cuts a body which ends with the connection resets it, or it looks whole', async (t) => {
    const { proxy, upstream } = await testProxy(t, {
      hooks: {
        responseFilter: (_session, response) => {
          response.removeHeader('Content-Length')
        },
      },
    })
    upstream.answer(reply(200, 'half of it', { contentLength: 20 }))
    const client = await proxy.client()
    client.send('GET / HTTP/1.0\r\n\r\n')
    await client.peer.untilText('half of it')
    assert.doesNotMatch(client.peer.text, /content-length|chunked/i)
    await proxy.stop('immediate')
    await client.peer.untilClosed()
    assert.deepEqual([client.peer.ended, client.peer.errorCode], [false, 'ECONNRESET'])
  })

  test('an upstream is not late before it could take the whole request', async (t) => {
    const body = Buffer.alloc(20_000, 'b')
    const { world, proxy, upstream } = await testProxy(t, {
      // All at the end: only there nobody waits until what was written has left.
      hooks: {
        requestBodyFilter: (_session, _piece, isEnd) => (isEnd ? body : null),
      },
      peer: { readTimeoutMs: 1_000, writeTimeoutMs: 1_000 },
    })
    world.network.setLink(UPSTREAM, { bytesPerSecond: 4_000, bufferBytes: 1_000 })
    upstream.answer((request) => reply(200, `${request.body.length} bytes`))
    const exchange = await proxy.request({ method: 'PUT', body })
    assert.equal(exchange.text, '20000 bytes', String(exchange))
    assert.ok(exchange.tookMs > 4_000)
  })
})
