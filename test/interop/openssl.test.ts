/** What `openssl s_client` says of a listener. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { testCa } from '../helpers/certificates.js'
import { startTextBackend } from '../process/backend.js'
import { TlsBalancer } from '../process/tls-balancer.js'

const isMissing = spawnSync('openssl', ['version']).status !== 0

describe('openssl s_client', { skip: isMissing && 'no openssl here', timeout: 60_000 }, () => {
  test('finds TLS 1.2 and 1.3 with the profile, tickets for all threads, and nothing older', async (t) => {
    const ca = await testCa()
    const { address } = await startTextBackend(t, 'hello')
    const balancer = new TlsBalancer(t)
    balancer.writeCertificate('a', await ca.issue({ names: ['one.test'] }))
    balancer.write('ca.crt', ca.cert)
    const upstream = `{ backends: [{ address: "${address}" }] }`
    balancer.configure('{ cert: a.crt, key: a.key }', upstream, 'threads: 2')
    const { port } = await balancer.start()
    const session = join(balancer.folder, 'session.pem')
    const file = join(balancer.folder, 'ca.crt')

    const verified = ['-CAfile', file, '-servername', 'one.test', '-verify_hostname', 'one.test']
    for (const version of ['-tls1_2', '-tls1_3']) {
      const first = await client(port, [...verified, version, '-sess_out', session])
      assert.match(first, /Verify return code: 0 \(ok\)/)
      assert.match(first, /^New, TLSv1\.[23], Cipher is /m)
      // Connections are dealt in turn, so half of these go to each thread.
      for (let count = 0; count < 4; count++) {
        const again = await client(port, [...verified, version, '-sess_in', session])
        assert.match(again, /^Reused, TLSv1\.[23], Cipher is /m)
      }
    }
    for (const version of ['-tls1', '-tls1_1'])
      assert.match(await client(port, [version, ...LEGACY]), /Cipher is \(NONE\)/)
    for (const cipher of [
      'AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES128-SHA256',
      'ECDHE-ECDSA-AES256-SHA',
    ])
      assert.match(await client(port, ['-tls1_2', '-cipher', cipher]), /Cipher is \(NONE\)/)
    const alpn = await client(port, ['-alpn', 'http/1.1'])
    assert.match(alpn, /^ALPN protocol: http\/1\.1$/m)
  })
})

const LEGACY = ['-cipher', 'DEFAULT@SECLEVEL=0'] as const

/** What a client prints that asks for nothing and reads what comes until the server closes or says so. */
async function client(port: number, options: readonly string[]): Promise<string> {
  const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...options]
  const running = promisify(execFile)('openssl', args, { timeout: 20_000 })
  running.child.stdin?.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  try {
    return (await running).stdout
  } catch (thrown) {
    return (thrown as { readonly stdout: string }).stdout
  }
}
