import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ListenerTls } from '../../src/proxy/index.js'
import { reply } from '../../src/testing/index.js'
import type { Exchange, TestProxy } from '../../src/testing/index.js'
import type { TlsDigest } from '../../src/transport/index.js'
import { testCa } from '../helpers/certificates.js'
import type { TestCa, TestCertificate } from '../helpers/certificates.js'
import { logLines, testProxy } from '../helpers/test-world.js'
import type { ProxyInWorld, ProxySetup } from '../helpers/test-world.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const OK = reply(200, 'ok')

describe('a listener with TLS', () => {
  let ca: TestCa
  let one: TestCertificate
  let two: TestCertificate
  let client: TestCertificate

  before(async () => {
    ca = await testCa()
    one = await ca.issue({ names: ['one.test'] })
    two = await ca.issue({ names: ['two.test'] })
    client = await ca.issue({ names: ['client.test'] })
  })

  /** A proxy that speaks TLS and answers `ok`. */
  async function start(
    t: TestContext,
    tls: ListenerTls,
    setup: ProxySetup = {},
  ): Promise<ProxyInWorld> {
    const started = await testProxy(t, { ...setup, listener: { tls } })
    started.upstream.answer(OK)
    return started
  }

  test('serves requests, and tells hooks that it did so over TLS', async (t) => {
    const seen: (TlsDigest | null)[] = []
    const hooks: ProxySetup['hooks'] = {
      requestFilter(session) {
        seen.push(session.digest.tls)
        return 'continue'
      },
    }
    const { world, proxy } = await start(t, { certificates: [one] }, { hooks })
    const tls = { sni: 'One.test.', ca: ca.cert, verifyName: 'one.test', alpn: ['http/1.1'] }
    const keptAlive = await proxy.client({ tls })
    assert.equal((await keptAlive.get('/a')).text, 'ok')
    assert.equal((await keptAlive.get('/b')).text, 'ok')
    assert.deepEqual(
      seen.map((digest) => [digest?.sni, digest?.alpn, digest?.peerCertificate]),
      [
        ['one.test', 'http/1.1', null],
        ['one.test', 'http/1.1', null],
      ],
    )
    assert.equal(world.counters.get('downstreamHandshakes'), 1)
  })

  test('shows the certificate for the name, which a callback may choose', async (t) => {
    const asked: string[] = []
    const certificateFor = async (sni: string): Promise<TestCertificate | undefined> => {
      asked.push(sni)
      return sni === 'three.test' ? three : undefined
    }
    const three = await ca.issue({ names: ['three.test'] })
    const { proxy } = await start(t, { certificates: [one, two], certificateFor })
    for (const name of ['one.test', 'two.test', 'three.test'])
      assert.equal((await get(proxy, name)).text, 'ok')
    assert.equal((await get(proxy, 'four.test')).failure, 'refused')
    assert.deepEqual(asked, ['one.test', 'two.test', 'three.test', 'four.test'])
  })

  test('a handshake that does not come is given up', async (t) => {
    const { world, proxy } = await start(t, { certificates: [one], handshakeTimeoutMs: 2_000 })
    const silent = await proxy.client()
    await world.advance(1_999)
    assert.equal(silent.peer.ended, false)
    await world.advance(200)
    assert.equal(silent.peer.ended, true)
    assert.equal(world.counters.errors('PGR_CLIENT_TLS_TIMEOUT'), 1)
    assert.deepEqual(
      logLines(world.log).filter((line) => !line.startsWith('info')),
      ['debug TLS handshake failed'],
    )
    silent.peer.destroy()
  })

  test('a callback that never answers is bounded by the time for the handshake', async (t) => {
    const { world, proxy } = await start(t, {
      certificates: [one],
      certificateFor: () => new Promise(() => undefined),
    })
    assert.equal((await get(proxy, 'one.test')).failure, 'refused')
    assert.ok(world.clock.nowMs() >= 10_000 && world.clock.nowMs() < 11_000)
    assert.equal(world.counters.errors('PGR_CLIENT_TLS_TIMEOUT'), 1)
  })

  test('a callback that fails is our own fault, which is logged once a second', async (t) => {
    const certificateFor = (): never => {
      throw new Error('the store is down')
    }
    const { world, proxy } = await start(t, { certificates: [one], certificateFor })
    for (let count = 0; count < 5; count++) await get(proxy, 'one.test')
    const errors = world.log.filter(({ level }) => level === 'error')
    assert.equal(errors.length, 1)
    assert.match(String(errors[0]?.fields['reason']), /certificateFor.*the store is down/)
    await world.advance(1_000)
    await get(proxy, 'one.test')
    assert.equal(world.log.filter(({ level }) => level === 'error')[1]?.fields['refused'], 5)
    assert.equal(world.counters.errors('PGR_HOOK_FAILED'), 6)
  })

  test('what is no TLS is closed without an answer, and is no line of the usual log', async (t) => {
    const { world, proxy } = await start(t, { certificates: [one] }, { skipsLogging: true })
    const plain = await proxy.client()
    plain.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await plain.peer.untilClosed()
    assert.equal(plain.peer.text, '')
    assert.equal(world.counters.errors('PGR_CLIENT_TLS_FAILED'), 1)
    assert.equal(world.counters.get('requests'), 0)
    assert.ok(world.log.every(({ level }) => level === 'info' || level === 'debug'))
  })

  test('no more handshakes are in progress than allowed', async (t) => {
    const { world, proxy } = await start(t, { certificates: [one], maxHandshakes: 2 })
    const slow = [await proxy.client(), await proxy.client()]
    await world.idle()
    const over = await proxy.client()
    await over.peer.untilEnded()
    assert.equal(world.counters.get('downstreamConnectionsLimited'), 1)
    assert.deepEqual(
      logLines(world.log).filter((line) => line.startsWith('warn')),
      ['warn too many TLS handshakes at once'],
    )
    for (const each of slow) each.peer.destroy()
    await world.idle()
    assert.equal((await get(proxy, 'one.test')).text, 'ok')
  })

  test('clients are known by their certificates', async (t) => {
    const identities: unknown[] = []
    const hooks: ProxySetup['hooks'] = {
      requestFilter({ digest: { tls } }) {
        identities.push([tls?.peerVerified, tls?.peerCertificate?.subjectAltName])
        return 'continue'
      },
    }
    const foreign = await (await testCa('another CA')).issue({ names: ['client.test'] })
    const clientCertificates = { ca: ca.cert }
    const { world, proxy } = await start(t, { certificates: [one], clientCertificates }, { hooks })
    const withOne = { tls: { sni: 'one.test', ...client } }
    assert.equal((await proxy.get('/', withOne)).text, 'ok')
    assert.equal((await proxy.get('/', { tls: { sni: 'one.test' } })).failure, 'refused')
    assert.equal(
      (await proxy.get('/', { tls: { sni: 'one.test', ...foreign } })).failure,
      'refused',
    )
    assert.deepEqual(identities, [[true, 'DNS:client.test']])
    assert.equal(world.counters.errors('PGR_CLIENT_CERTIFICATE_INVALID'), 2)
  })

  for (const kind of ['graceful', 'upgrade', 'immediate'] as const) {
    test(`a stop (${kind}) does not wait for who is shaking hands`, async (t) => {
      const { world, proxy } = await start(t, { certificates: [one] })
      const silent = await proxy.client()
      await world.idle()
      await proxy.stop(kind)
      // Kept until its next answer, as every idle client of an upgrade; then its time is over.
      assert.ok(world.clock.nowMs() < (kind === 'upgrade' ? 11_000 : 1))
      assert.equal(silent.peer.ended, true)
      silent.peer.destroy()
    })
  }

  test('a handshake that an upgrade finds in progress is ended, and its request answered', async (t) => {
    const { world, proxy } = await start(
      t,
      { certificates: [one] },
      {
        world: { link: { latencyMs: 10 } },
      },
    )
    const connecting = proxy.client({ tls: { sni: 'one.test' } })
    await world.advance(25)
    const stopped = proxy.stop('upgrade')
    const exchange = await (await connecting).get('/')
    assert.deepEqual([exchange.text, exchange.headers.get('Connection')], ['ok', 'close'])
    await stopped
  })

  test('files that are replaced are used within a second, bad ones are not', async (t) => {
    const folder = temporaryFolder(t)
    const [certFile, keyFile] = [join(folder, 'a.crt'), join(folder, 'a.key')]
    const write = ({ cert, key }: TestCertificate): void => {
      for (const [path, text] of [
        [certFile, cert],
        [keyFile, key],
      ] as const) {
        writeFileSync(`${path}.new`, text)
        renameSync(`${path}.new`, path)
      }
    }
    write(one)
    const { world, proxy } = await start(t, { certificates: [{ certFile, keyFile }] })
    const kept = await proxy.client({ tls: { sni: 'one.test' } })
    assert.equal((await kept.get('/')).text, 'ok')
    write(two)
    await world.advance(999)
    assert.equal((await get(proxy, 'two.test')).text, 'ok')
    assert.equal((await get(proxy, 'one.test')).failure, 'refused')
    assert.equal((await kept.get('/')).text, 'ok')
    writeFileSync(keyFile, one.key)
    await world.advance(999)
    assert.equal((await get(proxy, 'two.test')).text, 'ok')
    rmSync(certFile)
    await world.advance(999)
    assert.equal((await get(proxy, 'two.test')).text, 'ok')
    write(one)
    await world.advance(999)
    assert.equal((await get(proxy, 'one.test')).text, 'ok')
    assert.equal((await kept.get('/')).text, 'ok')
    const reasons = world.log.filter(({ message }) => message.startsWith('TLS files'))
    assert.deepEqual(
      reasons.map(({ level, fields }) => `${level} ${String(fields['reason'] ?? '')}`),
      [
        'info ',
        `error ${keyFile}: does not belong to the certificate`,
        `error ${certFile} cannot be read: no such file`,
        'info ',
      ],
    )
  })
})

/** A request of a client that trusts nobody who has no certificate for `name`. */
function get(proxy: TestProxy, name: string): Promise<Exchange> {
  return proxy.get('/', { tls: { sni: name, verifyName: name } })
}
