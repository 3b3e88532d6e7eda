import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { Backend, LoadBalancer, TcpHealthCheck } from '../../src/load-balancing/index.js'
import { REAL_ENVIRONMENT } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'

async function listening(t: TestContext, server: Server): Promise<string> {
  server.on('connection', (socket) => {
    t.after(() => socket.destroy())
    socket.on('error', () => undefined)
  })
  t.after(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An address where nothing listens any more. */
async function deadAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `127.0.0.1:${port}`
}

describe('TcpHealthCheck over real sockets', () => {
  test('finds the dead backend among live ones', async (t) => {
    const live = await listening(t, createServer())
    const dead = await deadAddress()
    const balancer = await LoadBalancer.tryFromIter([live, dead])
    balancer.setHealthCheck(new TcpHealthCheck())
    balancer.parallelHealthCheck = true
    await balancer.runHealthCheck()
    const picks = Array.from({ length: 4 }, () => balancer.select('', 256)?.address)
    assert.deepEqual(picks, [live, live, live, live])
  })

  test('closes the connection that it made', async (t) => {
    const server = createServer()
    const address = await listening(t, server)
    const accepted = once(server, 'connection')
    const { signal } = new AbortController()
    await new TcpHealthCheck().check(new Backend(address), signal, REAL_ENVIRONMENT)
    const [socket] = await accepted
    socket.resume()
    await once(socket, 'close')
  })

  test('checks the certificate when it is made for TLS', async (t) => {
    const ca = await testCa()
    const { cert, key } = await ca.issue({ names: ['one.one.one.one'] })
    const backend = new Backend(await listening(t, createTlsServer({ cert, key })))
    const check = (options: { sni: string; ca?: string; verify?: boolean }): Promise<void> => {
      const { signal } = new AbortController()
      return new TcpHealthCheck({ tls: options }).check(backend, signal, REAL_ENVIRONMENT)
    }
    const refused = { code: 'PGR_CERTIFICATE_INVALID' }
    await check({ sni: 'one.one.one.one', ca: ca.cert })
    await check({ sni: 'other.test', verify: false })
    await assert.rejects(check({ sni: 'other.test', ca: ca.cert }), refused)
    await assert.rejects(check({ sni: 'one.one.one.one' }), refused)
  })

  test('fails a handshake with a server that speaks no TLS', async (t) => {
    const server = createServer((socket) => socket.end('220 hello\r\n'))
    const backend = new Backend(await listening(t, server))
    const { signal } = new AbortController()
    const check = TcpHealthCheck.tls('one.one.one.one')
    await assert.rejects(check.check(backend, signal, REAL_ENVIRONMENT), {
      code: 'PGR_TLS_HANDSHAKE_FAILED',
    })
  })
})
