import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import { createServer } from 'node:tls'
import { Backend, TcpHealthCheck } from '../../src/load-balancing/index.js'
import { REAL_ENVIRONMENT } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'

describe('TcpHealthCheck over real TLS', () => {
  test('checks the certificate, and closes the connection that it made', async (t) => {
    const ca = await testCa()
    const server = createServer(await ca.issue({ names: ['one.one.one.one'] }))
    const sockets: Promise<unknown>[] = []
    server.on('connection', (socket: Socket) => {
      socket.on('error', () => undefined)
      sockets.push(once(socket, 'close'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())

    const backend = new Backend(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    const check = (tls: { sni: string; ca?: string; verify?: boolean }): Promise<void> => {
      const { signal } = new AbortController()
      return new TcpHealthCheck({ tls }).check(backend, signal, REAL_ENVIRONMENT)
    }
    const refused = { code: 'PGR_CERTIFICATE_INVALID' }
    await check({ sni: 'one.one.one.one', ca: ca.cert })
    await check({ sni: 'other.test', verify: false })
    await assert.rejects(check({ sni: 'other.test', ca: ca.cert }), refused)
    await assert.rejects(check({ sni: 'one.one.one.one' }), refused)
    assert.equal(sockets.length, 4)
    await Promise.all(sockets)
  })
})
