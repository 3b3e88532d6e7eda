/** Foreign clients that speak HTTP/1 and HTTP/2 to one plain port and to one with TLS. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { testCa } from '../helpers/certificates.js'
import { startProxy } from '../helpers/start-proxy.js'
import { startBackend } from '../process/backend.js'

const run = promisify(execFile)

for (const kind of ['plain', 'TLS'] as const) {
  describe(`one port, ${kind}`, { timeout: 120_000 }, () => {
    for (const [flag, version] of [
      ['--http1.1', '1.1'],
      [kind === 'TLS' ? '--http2' : '--http2-prior-knowledge', '2'],
    ] as const) {
      test(`curl ${flag}`, skipWithout('curl'), async (t) => {
        const { url } = await start(t, kind)
        const curl = async (...flags: string[]): Promise<string> =>
          (await run('curl', ['-sk', '--max-time', '20', flag, ...flags, url])).stdout
        assert.equal(await curl('-w', ' %{http_version}'), `GET / ${version}`)
        assert.equal(await curl('--data-binary', 'x'.repeat(100_000)), 'POST 100000')
        assert.match(await curl('-I'), /^HTTP\/[0-9.]+ 200/)
      })
    }

    test('nghttp', skipWithout('nghttp'), async (t) => {
      const { url } = await start(t, kind)
      const { stdout } = await run('nghttp', ['-t', '20', `${url}a`, `${url}b`])
      assert.match(stdout, /GET \/a/)
      assert.match(stdout, /GET \/b/)
    })

    test('h2load', skipWithout('h2load'), async (t) => {
      const { url } = await start(t, kind)
      const flags = ['-n', '3000', '-c', '2', '-m', '100', '-N', '60', url]
      const { stdout } = await run('h2load', flags)
      assert.match(stdout, /3000 succeeded, 0 failed, 0 errored/)
      assert.match(stdout, /3000 2xx/)
    })
  })
}

/** A proxy in front of a backend that says what it got. */
async function start(t: TestContext, kind: 'plain' | 'TLS'): Promise<{ readonly url: string }> {
  const backend = await startBackend(t, (sent, answer) => {
    let bytes = 0
    sent.on('data', (chunk: Buffer) => (bytes += chunk.length))
    sent.on('end', () => {
      answer.end(sent.method === 'POST' ? `POST ${bytes}` : `${sent.method} ${sent.url}`)
    })
  })
  const listener =
    kind === 'plain'
      ? { h2c: true }
      : { tls: { certificates: [await (await testCa()).issue({ names: ['127.0.0.1'] })] } }
  const proxy = await startProxy(Number(backend.address.split(':')[1]), { listener })
  t.after(() => {
    proxy.destroy()
  })
  return { url: `http${kind === 'TLS' ? 's' : ''}://127.0.0.1:${proxy.port}/` }
}

function skipWithout(program: string): { readonly skip: string | false } {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' })
  return { skip: error === undefined ? false : `${program} is not installed` }
}
