import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'
import { runProgram } from './run-program.js'

describe('workers that end again and again under load', { timeout: 120_000 }, () => {
  for (const path of ['/exit', '/throw', '/memory']) {
    test(`take nothing along but their own connections, by ${path}`, async (t) => {
      const conf = join(temporaryFolder(t), 'conf.yaml')
      writeFileSync(conf, 'threads: 3\n')
      const variables = { ON_FATAL: 'exit', NODE_OPTIONS: '--max-old-space-size=64' }
      const program = runProgram(t, './threads-program.js', ['-c', conf], { variables })
      const load = new Load(Number((await program.listening()).split(':')[1]))
      const dead: string[] = []
      for (let round = 1; round <= ROUNDS; round++) {
        dead.push(await load.askOne(path))
        await program.match(new RegExp(`(serves again[^]*){${round}}`))
      }
      await load.end()
      program.kill('SIGTERM')
      assert.deepEqual(await program.ended, { code: 0, signal: null })
      const strangers = load.lost.filter((thread) => thread !== null && !dead.includes(thread))
      assert.deepEqual(strangers, [], 'lost by threads that did not end')
      const logged = program.stderr.matchAll(/ended, starting another .*connectionsLost=(\d+)/g)
      const counted = [...logged].map(([, count]) => Number(count))
      assert.equal(counted.length, ROUNDS)
      const known = counted.reduce((sum, count) => sum + count, 0)
      assert.ok(load.lost.length <= known, `${load.lost.length} lost, ${known} logged`)
      assert.ok(load.lost.length >= ROUNDS, 'those that asked are among them')
    })
  }
})

/** Clients that send one request after the other, some on one connection each, some on many. */
class Load {
  /** The threads of the connections that ended before their answer; `null` for one without any. */
  readonly lost: (string | null)[] = []
  readonly #port: number
  readonly #running: Promise<void>[]
  #isOver = false

  constructor(port: number) {
    this.#port = port
    this.#running = [20, 20, 20, 20, 20, 20, 1, 1, 1].map((requests) => this.#run(requests))
  }

  /** Asks one thread for `path`, which ends it. Returns which one it was. */
  async askOne(path: string): Promise<string> {
    const client = await RawClient.connect(this.#port)
    const thread = await request(client, '/')
    assert.ok(thread !== null)
    client.write(get(path))
    await client.until('its end', () => client.ended)
    client.destroy()
    this.lost.push(thread)
    return thread
  }

  /** Resolves when every client has its last answer. */
  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#running)
  }

  /** @param requests how many are sent on each connection. */
  async #run(requests: number): Promise<void> {
    while (!this.#isOver) {
      const client = await RawClient.connect(this.#port)
      let thread: string | null = null
      for (let sent = 0; sent < requests; sent++) {
        const answer = await request(client, '/')
        if (answer === null) this.lost.push(thread)
        if (answer === null) break
        thread = answer
      }
      client.destroy()
    }
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

/** The thread that answers, or `null` when the connection ends instead. */
async function request(client: RawClient, path: string): Promise<string | null> {
  const before = client.responses().length
  client.write(get(path))
  await client.until('an answer', () => client.ended || client.responses().length > before)
  return client.responses()[before]?.body ?? null
}

const ROUNDS = 3
