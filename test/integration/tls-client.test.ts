import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createPlainServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { createServer } from 'node:tls'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { ProxyError } from '../../src/error/index.js'
import { NodeNetwork } from '../../src/transport/index.js'
import type { Connection, TlsClientOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import type { TestCa, TestCertificate } from '../helpers/certificates.js'
import { Recorder } from '../helpers/recorder.js'

const NO_TLS: TlsClientOptions = {
  sni: '',
  verifyName: '',
  verifyChain: true,
  alpn: [],
  sessionKey: '',
}

describe('TLS as a client', { timeout: 20_000 }, () => {
  let ca: TestCa
  let otherCa: TestCa
  let leaf: TestCertificate

  before(async () => {
    ca = await testCa()
    otherCa = await testCa('another CA')
    leaf = await ca.issue({
      names: ['one.example', '*.wild.example', 'api-v1.under.example', '127.0.0.1', '::1'],
    })
  })

  const accepted: [string, () => Partial<TlsClientOptions>][] = [
    ['the name is in the certificate', () => ({ ca: ca.cert, verifyName: 'one.example' })],
    ['a wildcard covers the name', () => ({ ca: ca.cert, verifyName: 'a.wild.example' })],
    ['the IPv4 address is in the certificate', () => ({ ca: ca.cert, verifyName: '127.0.0.1' })],
    ['the IPv6 address is in the certificate', () => ({ ca: ca.cert, verifyName: '::1' })],
    ['no name is to be verified', () => ({ ca: ca.cert })],
    ['nothing is to be verified', () => ({ verifyChain: false })],
    ['the CA is one of several', () => ({ ca: [otherCa.cert, Buffer.from(ca.cert)] })],
    [
      'an underscore stands where the certificate has a dash',
      () => ({ ca: ca.cert, verifyName: 'api_v1.under.example' }),
    ],
  ]
  for (const [why, options] of accepted) {
    test(`accepts the peer when ${why}`, async (t) => {
      const port = await echoServer(t, leaf)
      const recorder = new Recorder(await secured(t, port, options()))
      recorder.connection.write('hello')
      await recorder.until(() => recorder.text === 'hello')
    })
  }

  const refused: [string, () => Partial<TlsClientOptions>, RegExp][] = [
    ['the CA is not trusted', () => ({ ca: otherCa.cert }), /unable to verify|unable to get/],
    ['only the system CAs are trusted', () => ({}), /unable to verify|self.signed/],
    ['the name is another', () => ({ ca: ca.cert, verifyName: 'two.example' }), /does not match/],
    [
      'a wildcard would have to cover two labels',
      () => ({ ca: ca.cert, verifyName: 'a.b.wild.example' }),
      /does not match/,
    ],
    [
      'the IP address is another',
      () => ({ ca: ca.cert, verifyName: '127.0.0.2' }),
      /not in the certificate/,
    ],
    [
      'SNI is right but the name to verify is not',
      () => ({ ca: ca.cert, sni: 'one.example', verifyName: 'two.example' }),
      /does not match/,
    ],
  ]
  for (const [why, options, reason] of refused) {
    test(`refuses the peer when ${why}`, async (t) => {
      const port = await echoServer(t, leaf)
      const error = await failure(secured(t, port, options()))
      assert.equal(error.code, 'PGR_CERTIFICATE_INVALID')
      assert.match(error.message, reason)
      assert.match(error.message, new RegExp(`^TLS 127\\.0\\.0\\.1:${port}: `))
    })
  }

  test('refuses an expired certificate', async (t) => {
    const expired = await ca.issue({ names: ['one.example'], expired: true })
    const port = await echoServer(t, expired)
    const error = await failure(secured(t, port, { ca: ca.cert, verifyName: 'one.example' }))
    assert.equal(error.code, 'PGR_CERTIFICATE_INVALID')
    assert.match(error.message, /expired/)
  })

  test('asks for a name by SNI, but never for an IP address', async (t) => {
    const names: unknown[] = []
    const port = await echoServer(t, leaf, {}, (socket) => names.push(socket.servername))
    for (const sni of ['one.example', '127.0.0.1', '']) {
      const recorder = new Recorder(await secured(t, port, { ca: ca.cert, sni }))
      recorder.connection.write('x')
      await recorder.until(() => recorder.text === 'x')
    }
    assert.deepEqual(names, ['one.example', false, false])
  })

  test('fills the digest', async (t) => {
    const port = await echoServer(t, leaf, { ALPNProtocols: ['h2', 'http/1.1'] })
    const options = { ca: ca.cert, sni: 'one.example', alpn: ['http/1.1'] }
    const connection = await secured(t, port, options)
    const { tls, ...digest } = connection.digest
    assert.equal(digest.peerAddress, `127.0.0.1:${port}`)
    assert.equal(digest.peerIp, '127.0.0.1')
    assert.equal(tls?.version, 'TLSv1.3')
    assert.match(tls.cipher, /^TLS_/)
    assert.deepEqual([tls.sni, tls.alpn, tls.resumed], ['one.example', 'http/1.1', false])
  })

  test('presents a client certificate, chain in parts', async (t) => {
    const client = await ca.issue({ names: ['client.example'] })
    const seen: (boolean | string)[] = []
    const demand = { requestCert: true, rejectUnauthorized: true, ca: ca.cert }
    const port = await echoServer(t, leaf, demand, (socket) => {
      seen.push(socket.authorized, socket.getPeerCertificate().subjectaltname ?? '')
    })
    const options = { ca: ca.cert, cert: [client.cert, ca.cert], key: client.key }
    const recorder = new Recorder(await secured(t, port, options))
    recorder.connection.write('x')
    await recorder.until(() => recorder.text === 'x')
    assert.deepEqual(seen, [true, 'DNS:client.example'])
  })

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`resumes a session of the same key with ${maxVersion}`, async (t) => {
      const port = await echoServer(t, leaf, { maxVersion })
      const network = new NodeNetwork()
      const resumed = async (options: Partial<TlsClientOptions>): Promise<boolean | undefined> => {
        const connection = await secured(t, port, { ca: ca.cert, ...options }, network)
        const recorder = new Recorder(connection)
        // The session of TLS 1.3 comes with the first bytes.
        connection.write('x')
        await recorder.until(() => recorder.text === 'x')
        return connection.digest.tls?.resumed
      }
      assert.equal(await resumed({ sessionKey: 'a' }), false)
      assert.equal(await resumed({ sessionKey: 'a' }), true)
      assert.equal(await resumed({ sessionKey: 'b' }), false)
      assert.equal(await resumed({ sessionKey: 'a', verifyName: 'one.example' }), false)
      assert.equal(await resumed({ sessionKey: '' }), false)
      assert.equal(await resumed({ sessionKey: '' }), false)
    })

    test(`a refused peer is refused again at the second try with ${maxVersion}`, async (t) => {
      const port = await echoServer(t, leaf, { maxVersion })
      const network = new NodeNetwork()
      for (let attempt = 0; attempt < 3; attempt++) {
        const options = { ca: ca.cert, verifyName: 'two.example', sessionKey: 'a' }
        const error = await failure(secured(t, port, options, network))
        assert.equal(error.code, 'PGR_CERTIFICATE_INVALID')
      }
    })
  }

  test('refuses TLS before 1.2', async (t) => {
    const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }
    const port = await echoServer(t, leaf, old as TlsOptions)
    const error = await failure(secured(t, port, { verifyChain: false }))
    assert.equal(error.code, 'PGR_TLS_HANDSHAKE_FAILED')
  })

  test('a peer that closes or talks nonsense fails the handshake', async (t) => {
    for (const answer of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n']) {
      const port = await plainServer(t, answer)
      const error = await failure(secured(t, port, { verifyChain: false }))
      assert.equal(error.code, 'PGR_TLS_HANDSHAKE_FAILED')
    }
  })

  test('unusable certificates of ours fail the handshake and close the socket', async (t) => {
    const port = await echoServer(t, leaf)
    const error = await failure(secured(t, port, { cert: 'nonsense', key: 'nonsense' }))
    assert.equal(error.code, 'PGR_TLS_HANDSHAKE_FAILED')
  })

  test('a signal ends the handshake and closes the socket', async (t) => {
    const { port, closed } = await silentServer(t)
    const network = new NodeNetwork()
    const plain = await dial(network, port)
    const controller = new AbortController()
    const handshake = network.startTls(plain, { ...NO_TLS }, controller.signal)
    controller.abort(new Error('enough'))
    await assert.rejects(handshake, /enough/)
    await closed
  })

  test('half-closes, drains and resets like a plain connection', async (t) => {
    const port = await echoServer(t, leaf)
    const recorder = new Recorder(await secured(t, port, { ca: ca.cert }), { keepsText: false })
    const { connection } = recorder
    while (connection.write(Buffer.alloc(256 * 1024)));
    await recorder.until(() => recorder.drains === 1)
    connection.end()
    await recorder.until(() => recorder.ended)
    assert.equal(recorder.bytes, connection.bytesWritten)
    await recorder.closed()

    const reset = new Recorder(await secured(t, port, { ca: ca.cert }))
    reset.connection.reset()
    await reset.closed()
    assert.equal(reset.closes, 1)
  })

  test('a reset closes both ends, also with bytes pending', async (t) => {
    const closes: Promise<unknown>[] = []
    const port = await echoServer(t, leaf, {}, (socket) => {
      closes.push(new Promise((resolve) => socket.once('close', resolve)))
      socket.on('end', () => socket.end())
    })
    for (const pending of [false, true]) {
      const recorder = new Recorder(await secured(t, port, { ca: ca.cert }), { keepsText: false })
      recorder.connection.write('x')
      await recorder.until(() => recorder.bytes > 0)
      if (pending) while (recorder.connection.write(Buffer.alloc(256 * 1024)));
      recorder.connection.reset()
      await recorder.closed()
      await closes.at(-1)
      assert.equal(recorder.closes, 1)
    }
  })
})

/** A TLS connection to `port` on the loopback interface; destroyed after the test. */
async function secured(
  t: TestContext,
  port: number,
  options: Partial<TlsClientOptions>,
  network: NodeNetwork = new NodeNetwork(),
): Promise<Connection> {
  const connection = await network.startTls(await dial(network, port), { ...NO_TLS, ...options })
  t.after(() => {
    connection.destroy()
  })
  return connection
}

function dial(network: NodeNetwork, port: number): Promise<Connection> {
  return network.dial({ kind: 'ip', host: '127.0.0.1', port }, { forTls: true })
}

async function failure(promise: Promise<unknown>): Promise<ProxyError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ProxyError, `not a ProxyError: ${String(error)}`)
  return error
}

/** A TLS server that sends back what it gets; returns its port. */
async function echoServer(
  t: TestContext,
  certificate: TestCertificate,
  options: TlsOptions = {},
  onSocket: (socket: TLSSocket) => void = () => {},
): Promise<number> {
  const sockets: TLSSocket[] = []
  const server = createServer({ ...certificate, ...options, allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    onSocket(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.on('tlsClientError', () => {})
  return listening(t, server, () => {
    for (const socket of sockets) socket.destroy()
  })
}

/** A server without TLS that answers the first bytes with `answer` and closes. */
function plainServer(t: TestContext, answer: string): Promise<number> {
  const server = createPlainServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  })
  return listening(t, server)
}

/** A server that says nothing; `closed` resolves when its client is gone. */
async function silentServer(t: TestContext): Promise<{ port: number; closed: Promise<void> }> {
  let onClosed: () => void
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve
  })
  const server = createPlainServer((socket) => {
    socket.on('error', () => {})
    socket.resume().on('close', () => {
      onClosed()
    })
  })
  return { port: await listening(t, server), closed }
}

async function listening(t: TestContext, server: Server, stop?: () => void): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    stop?.()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
