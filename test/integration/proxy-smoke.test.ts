/** The whole proxy on real sockets: once over all that behaves as `test/behaviour` has shown it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage, RequestListener, RequestOptions } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { NodeNetworkOptions } from '../../src/transport/index.js'
import { startProxy } from '../helpers/start-proxy.js'
import type { RunningProxy } from '../helpers/start-proxy.js'
import { startBackend } from '../process/backend.js'

const MIB = 1024 * 1024

for (const io of ['ring', 'handles', 'sockets'] as const) {
  describe(`the whole proxy, with ${io}`, () => {
    test('sends requests with bodies over connections that are kept on both sides', async (t) => {
      const ports: unknown[] = []
      const { proxy, ask } = await start(t, io, (sent, answer) => {
        ports.push(sent.socket.remotePort)
        sent.pipe(answer)
      })
      for (const body of ['one', 'two', 'x'.repeat(MIB)]) {
        assert.ok((await ask({ method: 'POST' }, body)) === `200 ${body}`)
      }
      assert.equal(new Set(ports).size, 1)
      assert.equal(proxy.counters.get('downstreamConnectionsAccepted'), 1)
    })

    test('sends a request again when its kept connection is reset, and no other', async (t) => {
      let requests = 0
      const { proxy, ask } = await start(t, io, ({ socket }, answer) => {
        if (++requests % 2 === 0) socket.resetAndDestroy()
        else answer.end('ok')
      })
      assert.equal(await ask({}), '200 ok')
      assert.equal(await ask({}), '200 ok')
      assert.equal(proxy.counters.get('retries'), 1)
      assert.match(await ask({ method: 'POST' }, 'x'), /^502 /)
      assert.equal(requests, 4)
    })

    test('takes the upstream connection along when a client resets its own', async (t) => {
      const { proxy, port } = await start(t, io, ({ socket }) => {
        client.resetAndDestroy()
        socket.on('close', gone)
      })
      let gone = (): void => {}
      const isGone = new Promise<void>((resolve) => {
        gone = resolve
      })
      const client = connect({ host: '127.0.0.1', port })
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await isGone
      assert.equal(proxy.counters.errors('PGR_DOWNSTREAM_CLOSED'), 1)
    })

    test('passes a large body whole to a client that stops reading in between', async (t) => {
      const body = Buffer.alloc(32 * MIB, 'pingora')
      let isTaken = false
      const { port } = await start(t, io, (_sent, answer) => {
        answer.end(body, () => {
          isTaken = true
        })
      })
      const sent = request({ host: '127.0.0.1', port, agent: false })
      sent.end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      // Nobody reads yet, while another client makes its round trips.
      for (let n = 0; n < 3; n++) await once(connect({ host: '127.0.0.1', port }).end(), 'close')
      assert.equal(isTaken, false, 'the client holds the upstream up')
      const hash = createHash('sha1')
      for await (const chunk of response) hash.update(chunk as Buffer)
      assert.equal(hash.digest('hex'), createHash('sha1').update(body).digest('hex'))
    })
  })
}

interface Running {
  readonly proxy: RunningProxy
  readonly port: number
  /** Makes a request on a connection that is kept; returns status and body. */
  readonly ask: (options: RequestOptions, body?: string) => Promise<string>
}

/** A proxy in front of a backend that answers with `listener`. */
async function start(
  t: TestContext,
  io: NodeNetworkOptions['io'],
  listener: RequestListener,
): Promise<Running> {
  const backend = await startBackend(t, listener)
  const proxy = await startProxy(Number(backend.address.split(':')[1]), { io })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => {
    agent.destroy()
    proxy.destroy()
  })
  const { port } = proxy
  const ask = async (options: RequestOptions, body?: string): Promise<string> => {
    const sent = request({ host: '127.0.0.1', port, agent, ...options })
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const text = (await response.setEncoding('utf8').toArray()).join('')
    return `${response.statusCode} ${text}`
  }
  return { proxy, port, ask }
}
