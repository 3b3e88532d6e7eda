/** The quick start program, as it stands in `examples/` but for its address list. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { testCa } from '../helpers/certificates.js'
import { projectRoot } from '../helpers/project-root.js'
import { startBackend } from './backend.js'
import { runProgram } from './run-program.js'
import { freePort } from '../helpers/free-port.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const ADDRESS_LIST = "['1.1.1.1:443', '1.0.0.1:443', '127.0.0.1:343']"
const HEALTH_CHECK_LINES =
  /^.*(setHealthCheck|healthCheckFrequencyMs|backgroundService\(|addService\(background\)).*\n/gm

describe('the quick start program', () => {
  test('with the health check, no request meets the dead backend', async (t) => {
    const { statuses, bodies } = await runQuickStart(t, (source) => source)
    assert.deepEqual(new Set(statuses), new Set([200]))
    const [first, second] = bodies
    assert.deepEqual(new Set([first, second]), new Set(['backend 1', 'backend 2']))
    assert.ok(
      bodies.every((body, i) => body === (i % 2 === 0 ? first : second)),
      'the live backends take turns',
    )
  })

  test('without the health check, every third request is a 502', async (t) => {
    const { statuses } = await runQuickStart(t, (source) => {
      const without = source.replace(HEALTH_CHECK_LINES, '')
      assert.equal(source.split('\n').length - without.split('\n').length, 4)
      return without
    })
    const dead = statuses.indexOf(502)
    assert.deepEqual(
      statuses,
      statuses.map((_, i) => (i % 3 === dead ? 502 : 200)),
    )
  })
})

/** Runs the program, changed by `edit`, over two live backends and a dead one; asks it 30 times. */
async function runQuickStart(
  t: TestContext,
  edit: (source: string) => string,
): Promise<{ statuses: number[]; bodies: string[] }> {
  const ca = await testCa()
  const certificate = await ca.issue({ names: ['one.one.one.one'] })
  const live = await Promise.all(
    [1, 2].map((number) =>
      startBackend(
        t,
        (request, response) => {
          response.end(
            request.headers.host === 'one.one.one.one' ? `backend ${number}` : 'wrong Host',
          )
        },
        certificate,
      ),
    ),
  )
  const addresses = [...live.map(({ address }) => address), `127.0.0.1:${await freePort()}`]

  const source = readFileSync(join(projectRoot(), 'build/examples/load-balancer.js'), 'utf8')
  assert.ok(source.includes(ADDRESS_LIST), 'the address list stands in the example')
  const program = edit(source.replace(ADDRESS_LIST, JSON.stringify(addresses)))
  // Inside the project, so that it finds the library by its name as a user's program does.
  const file = join(projectRoot(), `build/examples/quick-start-${randomUUID()}.js`)
  writeFileSync(file, program)
  t.after(() => {
    rmSync(file)
  })
  return ask(await start(t, file, ca.cert))
}

async function start(t: TestContext, file: string, caCertificate: string): Promise<string> {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'ca.crt'), caCertificate)
  writeFileSync(join(folder, 'conf.yaml'), 'version: 1\nca_file: ca.crt\n')
  const preload = new URL('./free-port-6188.js', import.meta.url).href
  const program = runProgram(t, pathToFileURL(file).href, ['-c', join(folder, 'conf.yaml')], {
    preload,
  })
  const address = await program.listening()
  assert.match(address, /^0\.0\.0\.0:/)
  return address
}

async function ask(address: string): Promise<{ statuses: number[]; bodies: string[] }> {
  const port = Number(address.split(':')[1])
  const statuses: number[] = []
  const bodies: string[] = []
  for (let i = 0; i < 30; i++) {
    const [response] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [
      IncomingMessage,
    ]
    statuses.push(response.statusCode ?? 0)
    bodies.push(Buffer.concat(await response.toArray()).toString())
  }
  return { statuses, bodies }
}
