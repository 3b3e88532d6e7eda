import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import type { Socket } from 'node:net'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { ProxyError } from '../../src/error/index.js'
import { NodeNetwork, checkCiphers } from '../../src/transport/index.js'
import type { Connection, NodeNetworkOptions, TlsServerOptions } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import type { TestCa, TestCertificate } from '../helpers/certificates.js'
import { LOOPBACK } from '../helpers/connection-pair.js'
import { Recorder } from '../helpers/recorder.js'

describe('TLS as a server', { timeout: 30_000 }, () => {
  let ca: TestCa
  let one: TestCertificate
  let two: TestCertificate
  let wild: TestCertificate

  before(async () => {
    ca = await testCa()
    one = await ca.issue({ names: ['one.example', '127.0.0.1'] })
    two = await ca.issue({ names: ['two.example'] })
    wild = await ca.issue({ names: ['*.example', '*.two.example'] })
  })

  for (const io of ['ring', 'handles', 'sockets'] as const) {
    test(`carries bytes both ways and half-closes, with ${io}`, async (t) => {
      const server = await listen(t, { certificates: [one] }, { io })
      const client = await server.client({ ca: ca.cert, servername: 'one.example' })
      const { connection, recorder } = await server.accepted()
      assert.equal(connection.digest.peerAddress, `127.0.0.1:${client.localPort}`)
      client.write('question')
      await recorder.until(() => recorder.text === 'question')
      connection.write('answer')
      connection.end()
      const [answer] = (await once(client, 'data')) as [Buffer]
      assert.equal(answer.toString(), 'answer')
      client.end('the rest')
      await recorder.until(() => recorder.ended)
      assert.equal(recorder.text, 'questionthe rest')
      await recorder.closed()
    })
  }

  test('fills the digest', async (t) => {
    const server = await listen(t, { certificates: [one], alpn: ['h2', 'http/1.1'] })
    await server.client({ ca: ca.cert, servername: 'One.Example', ALPNProtocols: ['http/1.1'] })
    const { tls } = (await server.accepted()).connection.digest
    assert.ok(tls)
    const { handshakeMs, ...facts } = tls
    assert.ok(handshakeMs > 0)
    assert.deepEqual(facts, {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      sni: 'one.example',
      alpn: 'http/1.1',
      resumed: false,
      peerCertificate: null,
      peerVerified: false,
    })
  })

  test('chooses the certificate by name: exact, wildcard, else the first', async (t) => {
    const server = await listen(t, { certificates: [one, wild, two] })
    const cases: [string, TestCertificate][] = [
      ['two.example', two],
      ['TWO.example', two],
      ['three.example', wild],
      ['a.two.example', wild],
      ['a.three.example', one],
      ['elsewhere.test', one],
      ['', one],
    ]
    for (const [servername, expected] of cases)
      assert.equal(await server.shownTo({ servername }), expected.cert, servername)
  })

  test('asks a callback first, which may take its time, and goes on without its answer', async (t) => {
    const asked: string[] = []
    const server = await listen(t, {
      certificates: [one, two],
      certificateFor: async (sni) => {
        asked.push(sni)
        await new Promise((resolve) => setImmediate(resolve))
        return sni === 'two.example' ? wild : undefined
      },
    })
    assert.equal(await server.shownTo({ servername: 'two.example' }), wild.cert)
    assert.equal(await server.shownTo({ servername: 'one.example' }), one.cert)
    assert.equal(await server.shownTo({ servername: '' }), one.cert)
    assert.deepEqual(asked, ['two.example', 'one.example'])
  })

  test('needs no certificate of its own where a callback has all', async (t) => {
    const server = await listen(t, { certificates: [], certificateFor: () => two })
    assert.equal(await server.shownTo({ servername: 'two.example' }), two.cert)
    const client = connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false })
    client.on('error', () => undefined)
    assert.equal((await server.failed()).code, 'PGR_CLIENT_TLS_FAILED')
  })

  test('a callback that throws, rejects or gives nonsense ends the handshake alone', async (t) => {
    const answers = [
      () => {
        throw new Error('no such name')
      },
      () => Promise.reject(new Error('no such name')),
      () => ({ cert: 'nonsense', key: 'nonsense' }),
    ]
    const certificateFor = () => answers.shift()?.()
    const server = await listen(t, { certificates: [one], certificateFor })
    for (const reason of [/no such name/, /no such name/, /not a certificate|no start line|PEM/]) {
      const client = server.connect({ servername: 'a.example', rejectUnauthorized: false })
      client.on('error', () => undefined)
      const error = await server.failed()
      assert.equal(error.code, 'PGR_HOOK_FAILED')
      assert.match(error.message, reason)
    }
    assert.equal(await server.shownTo({ servername: 'a.example' }), one.cert)
  })

  test('staples the OCSP response of the certificate that it shows', async (t) => {
    const ocspResponse = Buffer.from('a response')
    const certificates = [one, { ...two, ocspResponse }]
    const server = await listen(t, { certificates })
    for (const [servername, expected] of [
      ['two.example', 'a response'],
      ['one.example', undefined],
    ] as const) {
      const asking: OcspOptions = { servername, ca: ca.cert, requestOCSP: true }
      const client = server.connect(asking)
      const stapled = once(client, 'OCSPResponse') as Promise<[Buffer | undefined]>
      await once(client, 'secureConnect')
      assert.equal((await stapled)[0]?.toString(), expected)
    }
  })

  test('speaks TLS 1.2 with the ciphers of the profile, and nothing older', async (t) => {
    const server = await listen(t, { certificates: [one] })
    const secure = { ca: ca.cert, servername: 'one.example' }
    await server.client({ ...secure, maxVersion: 'TLSv1.2' })
    assert.equal((await server.accepted()).connection.digest.tls?.version, 'TLSv1.2')
    const old = {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    } as const
    const weak = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' } as const
    for (const options of [old, weak]) {
      server.connect({ ...secure, ...options }).on('error', () => undefined)
      assert.equal((await server.failed()).code, 'PGR_CLIENT_TLS_FAILED')
    }
  })

  test('can be restricted to TLS 1.3', async (t) => {
    const server = await listen(t, { certificates: [one], minVersion: 'TLSv1.3' })
    server.connect({ ca: ca.cert, maxVersion: 'TLSv1.2' }).on('error', () => undefined)
    assert.match((await server.failed()).message, /no version of TLS in common/)
    assert.throws(() => {
      checkCiphers('NONSENSE')
    }, /PGR_OPTION_INVALID|no cipher match/)
  })

  test('refuses a client that offers other protocols alone', async (t) => {
    const server = await listen(t, { certificates: [one], alpn: ['http/1.1'] })
    server.connect({ ca: ca.cert, ALPNProtocols: ['spdy/3'] }).on('error', () => undefined)
    assert.match((await server.failed()).message, /no application protocol in common/)
    await server.client({ ca: ca.cert, servername: 'one.example' })
    assert.equal((await server.accepted()).connection.digest.tls?.alpn, '')
  })

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`knows clients by their certificates, with ${maxVersion}`, async (t) => {
      const foreign = await (await testCa('another CA')).issue({ names: ['foreign.example'] })
      const known = await ca.issue({ names: ['client.example'] })
      const expired = await ca.issue({ names: ['client.example'], expired: true })
      const secure = { ca: ca.cert, servername: 'one.example', maxVersion }
      for (const required of [true, false]) {
        const server = await listen(t, {
          certificates: [one],
          clientCertificates: { ca: ca.cert, required },
        })
        await server.client({ ...secure, ...known })
        const { tls } = (await server.accepted()).connection.digest
        assert.equal(tls?.peerVerified, true)
        assert.equal(tls.peerCertificate?.subjectAltName, 'DNS:client.example')
        for (const certificate of [foreign, expired]) {
          server.connect({ ...secure, ...certificate }).on('error', () => undefined)
          assert.equal((await server.failed()).code, 'PGR_CLIENT_CERTIFICATE_INVALID')
        }
        const client = server.connect(secure).on('error', () => undefined)
        if (required) {
          const error = await server.failed()
          assert.equal(error.code, 'PGR_CLIENT_CERTIFICATE_INVALID')
          assert.match(error.message, /showed no certificate/)
        } else {
          await once(client, 'secureConnect')
          const { tls: anonymous } = (await server.accepted()).connection.digest
          assert.deepEqual([anonymous?.peerCertificate, anonymous?.peerVerified], [null, false])
        }
      }
    })

    test(`a resumed session still says who the client is, with ${maxVersion}`, async (t) => {
      const known = await ca.issue({ names: ['client.example'] })
      const server = await listen(t, {
        certificates: [one],
        clientCertificates: { ca: ca.cert },
      })
      const secure = { ca: ca.cert, servername: 'one.example', maxVersion, ...known }
      const session = await server.session(secure)
      await server.client({ ...secure, session })
      const { tls } = (await server.accepted()).connection.digest
      assert.equal(tls?.resumed, true)
      assert.equal(tls.peerVerified, true)
      assert.equal(tls.peerCertificate?.subjectAltName, 'DNS:client.example')
    })

    test(`resumes sessions where the same ticket keys are, with ${maxVersion}`, async (t) => {
      let keys = Buffer.alloc(48, 1)
      const ticketKeys = { current: () => keys }
      const [first, second] = [
        await listen(t, { certificates: [one], ticketKeys }),
        await listen(t, { certificates: [two], ticketKeys }),
      ]
      const demanding = await listen(t, {
        certificates: [one],
        ticketKeys,
        clientCertificates: { ca: ca.cert, required: false },
      })
      const secure = { ca: ca.cert, servername: 'one.example', maxVersion }
      const session = await first.session(secure)
      const resumes = async (server: TestServer): Promise<boolean | undefined> => {
        await server.client({ ...secure, session, checkServerIdentity: () => undefined })
        return (await server.accepted()).connection.digest.tls?.resumed
      }
      assert.equal(await resumes(second), true)
      assert.equal(await resumes(demanding), false, 'where other clients are trusted')
      keys = Buffer.alloc(48, 2)
      assert.equal(await resumes(second), false, 'with other keys')
    })
  }

  test('what does not speak TLS, or leaves, fails and is closed', async (t) => {
    const server = await listen(t, { certificates: [one] })
    const clients: [(socket: Socket) => void, RegExp][] = [
      [(socket) => socket.write('GET / HTTP/1.1\r\n\r\n'), /speaks HTTP in the clear/],
      [(socket) => socket.write(Buffer.alloc(64, 'x')), /does not speak TLS|TLS 127/],
      [(socket) => socket.end(), /closed the connection/],
      [(socket) => socket.resetAndDestroy(), /closed the connection|ECONNRESET/],
      [(socket) => socket.end(Buffer.from('1603010200', 'hex')), /closed the connection/],
    ]
    for (const [misbehave, reason] of clients) {
      const socket = connectPlain(server.port, '127.0.0.1')
      socket.on('error', () => undefined).resume()
      await once(socket, 'connect')
      misbehave(socket)
      const error = await server.failed()
      assert.equal(error.code, 'PGR_CLIENT_TLS_FAILED')
      assert.match(error.message, reason)
      assert.match(error.message, /^TLS 127\.0\.0\.1:\d+: /)
      if (!socket.closed) await once(socket, 'close')
    }
  })

  test('a signal ends the handshake and closes the socket', async (t) => {
    const controller = new AbortController()
    const server = await listen(t, { certificates: [one] }, {}, controller.signal)
    const socket = connectPlain(server.port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    await server.begun()
    controller.abort(new ProxyError('PGR_CLIENT_TLS_TIMEOUT'))
    assert.equal((await server.failed()).code, 'PGR_CLIENT_TLS_TIMEOUT')
    await once(socket, 'close')
  })

  test('takes what was read before as the first bytes of the client', async (t) => {
    const network = new NodeNetwork()
    const secured = new Promise<Connection>((resolve, reject) => {
      const onConnection = (connection: Connection): void => {
        const reader = new Recorder(connection, { keepsText: false })
        let first: Buffer | null = null
        reader.onChunk = (buffer, length) => {
          if (first !== null) return
          first = Buffer.from(buffer.subarray(0, length))
          assert.equal(first.toString('latin1', 0, 7), 'prefix ')
          const options = { certificates: [one], alpn: [] }
          network
            .startServerTls(connection, options, undefined, first.subarray(7))
            .then(resolve, reject)
        }
      }
      void network.listen(LOOPBACK, { forTls: true }, onConnection).then((listener) => {
        t.after(() => listener.close())
        assert.ok(listener.address.kind === 'ip')
        const socket = connectPlain(listener.address.port, '127.0.0.1')
        socket.cork()
        socket.write('prefix ')
        const client = connect({ socket, ca: ca.cert, servername: 'one.example' })
        setImmediate(() => {
          socket.uncork()
        })
        client.on('error', reject)
        t.after(() => client.destroy())
      })
    })
    const connection = await secured
    connection.destroy()
  })

  test('writes the key log', async (t) => {
    const lines: string[] = []
    const onKeyLog = (line: Buffer): void => {
      lines.push(line.toString())
    }
    const server = await listen(t, { certificates: [one], onKeyLog })
    await server.client({ ca: ca.cert, servername: 'one.example' })
    await server.accepted()
    assert.ok(lines.some((line) => /^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]+ [0-9a-f]+\n$/.test(line)))
  })
})

/** The types of Node leave it out. */
type OcspOptions = ConnectionOptions & { readonly requestOCSP: boolean }

type Outcome = { readonly connection: Connection; readonly recorder: Recorder } | ProxyError

/** A listener that shakes hands with whoever comes. */
class TestServer {
  readonly port: number
  readonly #t: TestContext
  readonly #outcomes: Outcome[] = []
  #begun = 0
  #wake = (): void => undefined

  constructor(t: TestContext, port: number) {
    this.#t = t
    this.port = port
  }

  /** Told of a handshake that begins. */
  shakesHands(secured: Promise<Connection>): void {
    this.#begun++
    this.#wake()
    secured.then(
      (connection) => {
        this.#tell({ connection, recorder: new Recorder(connection) })
        this.#t.after(() => {
          connection.destroy()
        })
      },
      (error: unknown) => {
        this.#tell(error as ProxyError)
      },
    )
  }

  connect(options: ConnectionOptions): TLSSocket {
    const target = { port: this.port, host: '127.0.0.1', allowHalfOpen: true }
    const client = connect({ ...target, ...options })
    this.#t.after(() => client.destroy())
    return client
  }

  /** A client whose handshake is done at its end. */
  async client(options: ConnectionOptions): Promise<TLSSocket> {
    const client = this.connect(options)
    await once(client, 'secureConnect')
    return client
  }

  /** The certificate that is shown to a client, as PEM without its last newline. */
  async shownTo(options: ConnectionOptions): Promise<string> {
    const client = await this.client({ ...options, rejectUnauthorized: false })
    await this.accepted()
    const pem = client.getPeerX509Certificate()?.toString().trim() ?? ''
    client.destroy()
    return pem
  }

  /** The session that a client may resume. */
  async session(options: ConnectionOptions): Promise<Buffer> {
    const client = this.connect(options)
    const session = once(client, 'session') as Promise<[Buffer]>
    const { connection } = await this.accepted()
    // Tickets of TLS 1.3 are read with the first bytes.
    connection.write('x')
    client.resume()
    return (await session)[0]
  }

  async accepted(): Promise<Exclude<Outcome, ProxyError>> {
    const outcome = await this.#next()
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  async failed(): Promise<ProxyError> {
    const outcome = await this.#next()
    assert.ok(outcome instanceof ProxyError, 'the handshake succeeded')
    return outcome
  }

  async begun(): Promise<void> {
    while (this.#begun === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  #tell(outcome: Outcome): void {
    this.#outcomes.push(outcome)
    this.#wake()
  }

  async #next(): Promise<Outcome> {
    for (;;) {
      const outcome = this.#outcomes.shift()
      if (outcome !== undefined) return outcome
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

async function listen(
  t: TestContext,
  options: Omit<TlsServerOptions, 'alpn'> & Partial<TlsServerOptions>,
  networkOptions: NodeNetworkOptions = {},
  signal?: AbortSignal,
): Promise<TestServer> {
  const network = new NodeNetwork(networkOptions)
  const tls = { alpn: [], ...options }
  const listener = await network.listen(LOOPBACK, { forTls: true }, (connection) => {
    server.shakesHands(network.startServerTls(connection, tls, signal))
  })
  t.after(() => listener.close())
  assert.ok(listener.address.kind === 'ip')
  const server = new TestServer(t, listener.address.port)
  return server
}
