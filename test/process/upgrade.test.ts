import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { startBackend, startTextBackend } from './backend.js'
import { PATIENT_UPGRADE } from './patient-upgrade.js'
import { runCommand } from './run-program.js'
import type { Program } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

describe('an upgrade', { timeout: 170_000 }, () => {
  for (const order of ['new first', 'old first'] as const) {
    test(`loses no request, ${order}`, async (t) => {
      const backend = await startTextBackend(t, 'hello')
      const { start, folder } = await setup(t, backend.address)
      const first = await start()
      const address = first[1]
      let old = first[0]
      const unix = join(folder, 'a.sock')
      const load = [new Load(address, true), new Load(address, false), new Load(unix, false)]
      for (let round = 0; round < 3; round++) {
        const next = await upgrade(old, start, order)
        assert.equal(next[1], address)
        assert.equal((await old.ended).code, 0)
        old = next[0]
        for (const each of load) await each.more(20)
      }
      assert.deepEqual(
        (await Promise.all(load.map((each) => each.stop()))).flat(),
        [],
        'failed requests',
      )
      assert.ok(existsSync(unix))
      old.kill('SIGTERM')
      assert.equal((await old.ended).code, 0)
      assert.equal(existsSync(unix), false)
    })
  }

  test('loses no request from any number of threads and way to accept to another', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const { start, folder, configure } = await setup(t, backend.address)
    configure('threads: 2\naccept: shared\n')
    const [first, address] = await start()
    let old = first
    const unix = join(folder, 'a.sock')
    const load = [new Load(address, true), new Load(unix, false)]
    for (let i = 0; i < 4; i++) load.push(new Load(address, false))
    for (const [accept, threads] of [
      ['reuseport', 3],
      ['reuseport', 2],
      ['deal', 1],
      ['shared', 2],
    ] as const) {
      configure(`threads: ${threads}\naccept: ${accept}\n`)
      const next = await upgrade(old, start, threads % 2 === 0 ? 'new first' : 'old first')
      assert.equal(next[1], address)
      assert.equal((await old.ended).code, 0)
      old = next[0]
      for (const each of load) await each.more(10)
    }
    assert.deepEqual((await Promise.all(load.map((each) => each.stop()))).flat(), [])
    old.kill('SIGTERM')
    assert.equal((await old.ended).code, 0)
  })

  test('lets a download and an upload that have begun end on the old process', async (t) => {
    let finish = (): void => {}
    const backend = await startBackend(t, (request, response) => {
      response.write('begun ')
      finish = () => response.end('ended')
      void request.toArray().then((chunks) => {
        if (request.method === 'POST')
          response.end(`got ${Buffer.concat(chunks as Buffer[]).length}`)
      })
    })
    const { start } = await setup(t, backend.address)
    const [old, address] = await start()
    const port = Number(address.split(':')[1])
    const [upload, download] = [await RawClient.connect(port), await RawClient.connect(port)]
    upload.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345')
    await upload.until('a beginning', () => upload.text.includes('begun'))
    download.write(REQUEST)
    await download.until('a beginning', () => download.text.includes('begun'))
    await upgrade(old, start, 'new first')
    upload.write('67890')
    await upload.until('the end', () => upload.text.includes('got 10'))
    finish()
    await download.until('the end', () => download.text.includes('ended'))
    upload.destroy()
    download.destroy()
    assert.equal((await old.ended).code, 0)
  })

  test('keeps an idle client until its next answer, which closes', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const { start } = await setup(t, backend.address)
    const [old, address] = await start()
    const client = await RawClient.connect(Number(address.split(':')[1]))
    client.write(REQUEST)
    await client.until('an answer', () => client.responses().length === 1)
    await upgrade(old, start, 'new first')
    await old.match(/stopping/)
    assert.equal(client.ended, false)
    client.write(REQUEST)
    await client.until('the end', () => client.ended)
    const [, last] = client.responses()
    assert.equal(last?.status, 200)
    assert.ok(last.fields.some(([name, value]) => name === 'connection' && value === 'close'))
    client.destroy()
    assert.equal((await old.ended).code, 0)
  })

  test('leaves the old process serving when the new one dies before it is ready', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const { start, args } = await setup(t, backend.address)
    const [old, address] = await start()
    // A listener that cannot be opened: it has the descriptors by then, and ends.
    const taken = createServer().listen(0, '127.0.0.1')
    t.after(() => taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const failing = runCommand(t, [...args, '-u', '--listen', `127.0.0.1:${port}`])
    await failing.match(/waiting for the old process/)
    old.kill('SIGQUIT')
    assert.equal((await failing.ended).code, 1)
    await old.match(/upgrade failed, serving on .*ended before it was ready/)
    const load = new Load(address, false)
    await load.more(5)
    assert.deepEqual(await load.stop(), [])
    const [next] = await upgrade(old, start, 'new first')
    assert.equal((await old.ended).code, 0)
    next.kill('SIGTERM')
    await next.ended
  })

  test('says what is missing when the other process never comes', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const keys = 'upgrade_sock: upgrade.sock\nupgrade_sock_connect_accept_max_retries: 1'
    const { start, args } = await setup(t, backend.address, keys)
    const [old] = await start()
    old.kill('SIGQUIT')
    await old.match(/upgrade failed, serving on .*no new process waits at .*start it with -u/)
    const alone = runCommand(t, [...args, '-u'])
    assert.equal((await alone.ended).code, 1)
    assert.match(alone.stderr, /no old process came to .*send it SIGQUIT/)
  })

  test('refuses an upgrade socket that is another file', async (t) => {
    const backend = await startTextBackend(t, 'hello')
    const { args, folder } = await setup(t, backend.address)
    writeFileSync(join(folder, 'upgrade.sock'), 'precious')
    const refused = runCommand(t, [...args, '-u'])
    assert.equal((await refused.ended).code, 1)
    assert.match(refused.stderr, /upgrade_sock: .*the file is not a socket/)
  })
})

interface Setup {
  readonly folder: string
  readonly args: readonly string[]
  /** Adds keys to the file of those that are started from now on, in place of those that were added before. */
  readonly configure: (keys: string) => void
  /** Starts a balancer on a free port and a unix socket; resolves when it listens. */
  readonly start: (...more: string[]) => Promise<[Program, string]>
}

async function setup(t: TestContext, backend: string, keys = PATIENT_UPGRADE): Promise<Setup> {
  const folder = temporaryFolder(t)
  const conf = join(folder, 'conf.yaml')
  const configure = (more: string): void => {
    writeFileSync(conf, `${keys}\ngrace_period_seconds: 20\n${more}`)
  }
  configure('')
  const listeners = ['--listen', '127.0.0.1:0', '--listen', `unix:${join(folder, 'a.sock')}`]
  const args = ['proxy', '--to', backend, ...listeners, '-c', conf]
  const start = async (...more: string[]): Promise<[Program, string]> => {
    const program = runCommand(t, [...args, ...more])
    const address = await program.listening()
    await program.match(/listening on unix:/)
    return [program, address]
  }
  return { folder, args, configure, start }
}

/** Resolves when the new process listens. */
async function upgrade(
  old: Program,
  start: Setup['start'],
  order: 'new first' | 'old first',
): Promise<[Program, string]> {
  if (order === 'old first') old.kill('SIGQUIT')
  const starting = start('-u')
  if (order === 'new first') old.kill('SIGQUIT')
  return starting
}

/** One request after the other. */
class Load {
  readonly #address: string
  readonly #agent: Agent
  readonly #failures: string[] = []
  readonly #running: Promise<void>
  #stopped = false
  #answered = 0
  #wake: () => void = () => undefined

  /** @param address `HOST:PORT`, or the path of a unix socket. */
  constructor(address: string, keepAlive: boolean) {
    this.#address = address
    this.#agent = new Agent({ keepAlive, maxSockets: 1 })
    this.#running = this.#run()
  }

  /** Resolves after `count` more answers. */
  async more(count: number): Promise<void> {
    const goal = this.#answered + count
    while (this.#answered < goal && this.#failures.length === 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** What failed. */
  async stop(): Promise<string[]> {
    this.#stopped = true
    await this.#running
    this.#agent.destroy()
    return this.#failures
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const status = await this.#ask()
        if (status !== 200) this.#failures.push(`status ${status}`)
      } catch (error) {
        this.#failures.push(String(error))
      }
      this.#answered++
      this.#wake()
    }
  }

  async #ask(): Promise<number | undefined> {
    const [host, port] = this.#address.split(':')
    const where = port === undefined ? { socketPath: this.#address } : { host, port }
    const request = get({ ...where, agent: this.#agent })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return response.statusCode
  }
}
