import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { testCa } from '../helpers/certificates.js'
import type { TestCa, TestCertificate } from '../helpers/certificates.js'
import { startTextBackend } from './backend.js'
import { TlsBalancer, askOverTls, request } from './tls-balancer.js'

describe('the balancer over TLS', { timeout: 120_000 }, () => {
  let ca: TestCa
  let one: TestCertificate
  let two: TestCertificate
  let client: TestCertificate

  before(async () => {
    ca = await testCa()
    one = await ca.issue({ names: ['one.test'] })
    two = await ca.issue({ names: ['one.test', 'two.test'] })
    client = await ca.issue({ names: ['client.test'] })
  })

  const trusting = (servername = 'one.test') => ({ ca: ca.cert, servername })

  async function balancer(
    t: TestContext,
    tls = '{ cert: a.crt, key: a.key }',
    more = '',
  ): Promise<TlsBalancer> {
    const { address } = await startTextBackend(t, 'hello')
    const made = new TlsBalancer(t)
    made.writeCertificate('a', one)
    made.writeCertificate('b', two)
    made.write('ca.crt', ca.cert)
    made.configure(tls, `{ backends: [{ address: "${address}" }] }`, more)
    return made
  }

  test('tickets are resumed by all threads', async (t) => {
    const { port } = await (await balancer(t, undefined, 'threads: 2')).start()
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { ...trusting(), maxVersion }
      const { session, resumed, status } = await askOverTls(port, options)
      assert.deepEqual([status, resumed], ['200', false])
      // Connections are dealt in turn, so half of these go to each thread.
      for (let count = 0; count < 6; count++)
        assert.equal((await askOverTls(port, { ...options, session })).resumed, true)
    }
  })

  test('tickets are resumed by the process of an upgrade, and no request fails', async (t) => {
    const made = await balancer(t, undefined, 'threads: 2')
    const first = await made.start()
    const { port } = first
    let { program } = first
    const { session } = await askOverTls(port, trusting())
    const load = [new TlsLoad(port, ca.cert, true), new TlsLoad(port, ca.cert, false)]
    for (const each of load) await each.more(10)
    for (let round = 0; round < 2; round++) {
      const starting = made.start('-u')
      program.kill('SIGQUIT')
      const next = await starting
      assert.equal(next.port, port)
      assert.deepEqual(await program.ended, { code: 0, signal: null })
      program = next.program
      for (const each of load) await each.more(10)
      for (let count = 0; count < 4; count++)
        assert.equal((await askOverTls(port, { ...trusting(), session })).resumed, true)
    }
    assert.deepEqual((await Promise.all(load.map((each) => each.stop()))).flat(), [])
  })

  test('tickets are resumed after a restart where there is a file of their key', async (t) => {
    const tls = '{ cert: a.crt, key: a.key, ticket_key: tickets.key }'
    const made = await balancer(t, tls)
    made.write('tickets.key', randomBytes(48))
    const first = await made.start()
    const { session } = await askOverTls(first.port, trusting())
    first.program.kill('SIGTERM')
    await first.program.ended
    const second = await made.start()
    assert.equal((await askOverTls(second.port, { ...trusting(), session })).resumed, true)
    made.write('tickets.key', randomBytes(48))
    while ((await askOverTls(second.port, { ...trusting(), session })).resumed);
  })

  test('a certificate is replaced under load, and no request fails', async (t) => {
    const made = await balancer(t, undefined, 'threads: 2')
    const { program, port } = await made.start()
    const load = [new TlsLoad(port, ca.cert, true), new TlsLoad(port, ca.cert, false)]
    for (const each of load) await each.more(10)
    for (const [index, certificate] of [two, one, two].entries()) {
      made.writeCertificate('a', certificate)
      await program.match(new RegExp(`(?:TLS files replaced[^]*){${index + 1}}`))
      // As many in a row as there are threads, so that each has it.
      for (let seen = 0; seen < 2;) {
        const { shown } = await askOverTls(port, trusting())
        seen = shown === certificate.cert ? seen + 1 : 0
      }
      for (const each of load) await each.more(5)
    }
    made.write('a.key', client.key)
    await program.match(/TLS files cannot be used.*does not belong to the certificate/)
    assert.equal((await askOverTls(port, trusting('two.test'))).status, '200')
    assert.deepEqual((await Promise.all(load.map((each) => each.stop()))).flat(), [])
    assert.equal(program.stderr.match(/TLS files/g)?.length, 4, 'one thread says so')
  })

  test('certificates are chosen by name', async (t) => {
    const tls = '[{ cert: a.crt, key: a.key }, { cert: b.crt, key: b.key }]'
    const { port } = await (await balancer(t, tls)).start()
    assert.equal((await askOverTls(port, trusting('one.test'))).shown, one.cert)
    assert.equal((await askOverTls(port, trusting('two.test'))).shown, two.cert)
  })

  test('clients show certificates as configured', async (t) => {
    const required = '{ cert: a.crt, key: a.key, client_ca: ca.crt }'
    const optional = '{ cert: a.crt, key: a.key, client_ca: ca.crt, client_cert: optional }'
    const foreign = await (await testCa('another CA')).issue({ names: ['client.test'] })
    for (const tls of [required, optional]) {
      const { program, port } = await (await balancer(t, tls)).start()
      assert.equal((await askOverTls(port, { ...trusting(), ...client })).status, '200')
      await assert.rejects(askOverTls(port, { ...trusting(), ...foreign }))
      if (tls === required) await assert.rejects(askOverTls(port, trusting()))
      else assert.equal((await askOverTls(port, trusting())).status, '200')
      assert.doesNotMatch(program.stderr, / (WARN|ERROR) /)
    }
  })

  test('upstreams get our certificate as configured', async (t) => {
    const server = createServer(
      { ...one, ca: ca.cert, requestCert: true, rejectUnauthorized: true },
      (_request, response) => response.end('hello'),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const backend = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const foreign = await (await testCa('another CA')).issue({ names: ['client.test'] })
    for (const [certificate, status] of [
      [client, '200'],
      [foreign, '502'],
    ] as const) {
      const made = await balancer(t)
      made.writeCertificate('own', certificate)
      const tls = '{ sni: one.test, ca: ca.crt, cert: own.crt, key: own.key }'
      const upstream = `{ backends: [{ address: "${backend}" }], tls: ${tls} }`
      const keyLog = 'upstream_debug_ssl_keylog: true'
      made.configure('{ cert: a.crt, key: a.key }', upstream, keyLog)
      const { port } = await made.start()
      assert.equal((await askOverTls(port, trusting())).status, status)
      const keys = readFileSync(join(made.folder, 'upstream-keys.log'), 'latin1')
      assert.match(keys, /^CLIENT_TRAFFIC_SECRET_0 /m)
    }
  })

  test('what does not speak TLS neither ends the process nor fills its log', async (t) => {
    const { program, port } = await (await balancer(t)).start()
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x00\x05hello', '\0'.repeat(64)]) {
      for (let count = 0; count < 50; count++) {
        const socket = connectPlain(port, '127.0.0.1')
        socket.on('error', () => undefined).resume()
        socket.write(bytes, 'latin1')
        if (count % 2 === 0) socket.end()
        await once(socket, 'close')
      }
    }
    assert.equal((await askOverTls(port, trusting())).status, '200')
    const lines = program.stderr.split('\n').filter((line) => line !== '')
    assert.ok(lines.length < 10, program.stderr)
  })

  test('writes secrets to the key log, which only its owner can read', async (t) => {
    const made = await balancer(t, '{ cert: a.crt, key: a.key, key_log: keys.log }')
    const { port } = await made.start()
    await askOverTls(port, trusting())
    const path = join(made.folder, 'keys.log')
    assert.match(readFileSync(path, 'latin1'), /^SERVER_TRAFFIC_SECRET_0 [0-9a-f]+ [0-9a-f]+$/m)
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('-t checks certificates, and says where what is wrong was written', async (t) => {
    const expired = await ca.issue({ names: ['one.test'], expired: true })
    const made = await balancer(t)
    made.writeCertificate('expired', expired)
    const upstream = '{ backends: [{ address: "127.0.0.1:1" }] }'
    const wrong: [string, RegExp][] = [
      [
        '{ cert: a.crt, key: b.key }',
        /conf\.yaml:1:\d+: listeners\[0\]\.tls\.key: .*b\.key: does not belong/,
      ],
      [
        '{ cert: no.crt, key: a.key }',
        /conf\.yaml:1:\d+: listeners\[0\]\.tls\.cert: .*no\.crt cannot be read: no such file/,
      ],
      [
        '{ cert: a.key, key: a.key }',
        /conf\.yaml:1:\d+: listeners\[0\]\.tls\.cert: .*a\.key: holds no certificate/,
      ],
    ]
    for (const [tls, reason] of wrong) {
      made.configure(tls, upstream)
      const tested = made.run('-t')
      assert.equal((await tested.ended).code, 1)
      assert.match(tested.stderr, reason)
    }
    made.configure('{ cert: expired.crt, key: expired.key }', upstream)
    const warned = made.run('-t')
    assert.equal((await warned.ended).code, 0, warned.stderr)
    assert.match(warned.stderr, /WARN +TLS certificate.*one\.test has expired: it was valid to/)
  })
})

/** One request over TLS after the other, on one connection or on a connection each. */
class TlsLoad {
  readonly #port: number
  readonly #ca: string
  readonly #keepAlive: boolean
  readonly #failures: string[] = []
  readonly #running: Promise<void>
  #socket: TLSSocket | null = null
  #stopped = false
  #answered = 0
  #wake: () => void = () => undefined

  constructor(port: number, ca: string, keepAlive: boolean) {
    this.#port = port
    this.#ca = ca
    this.#keepAlive = keepAlive
    this.#running = this.#run()
  }

  /** Resolves after `count` more answers. */
  async more(count: number): Promise<void> {
    const goal = this.#answered + count
    while (this.#answered < goal && this.#failures.length === 0)
      await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  /** What failed. */
  async stop(): Promise<string[]> {
    this.#stopped = true
    await this.#running
    this.#socket?.destroy()
    return this.#failures
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#ask()
      } catch (error) {
        this.#failures.push(String(error))
      }
      this.#answered++
      this.#wake()
    }
  }

  async #ask(): Promise<void> {
    let socket = this.#socket
    if (socket === null) {
      socket = connect({
        port: this.#port,
        host: '127.0.0.1',
        ca: this.#ca,
        servername: 'one.test',
      })
      await once(socket, 'secureConnect')
      socket.on('error', () => undefined)
    }
    const answer = await request(socket, !this.#keepAlive)
    if (!answer.startsWith('HTTP/1.1 200')) throw new Error(answer)
    // A server that says so closes behind this answer.
    const goesOn = this.#keepAlive && !/^connection: close/im.test(answer)
    this.#socket = goesOn ? socket : null
    if (!goesOn) socket.destroy()
  }
}
