import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { runProgram } from './run-program.js'
import type { Program, ProgramOptions } from './run-program.js'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

describe('threads', { timeout: 120_000 }, () => {
  test('connections are dealt exactly evenly', async (t) => {
    const { port } = await start(t, 4)
    const clients = await connect(t, port, 200)
    const threads = await Promise.all(clients.map((client) => threadOf(client)))
    const counts = new Map<string, number>()
    for (const thread of threads) counts.set(thread, (counts.get(thread) ?? 0) + 1)
    assert.deepEqual([...counts.values()], [50, 50, 50, 50])
    // A connection stays with its thread.
    assert.deepEqual(await Promise.all(clients.map((client) => threadOf(client))), threads)
  })

  test('a worker that ends loses its own connections alone, and is replaced', async (t) => {
    const { program, port } = await start(t, 2)
    const clients = await connect(t, port, 8)
    const threads = await Promise.all(clients.map((client) => threadOf(client)))
    const before = descriptorsOf(program)
    clients[0]!.write(get('/exit'))
    for (const [index, client] of clients.entries()) {
      if (threads[index] === threads[0]) await client.until('its end', () => client.ended)
      else assert.equal(await threadOf(client), threads[index])
    }
    await program.match(/worker 1 ended, starting another .*connectionsLost=4/)
    for (const client of clients) client.destroy()
    await program.match(/worker 1 serves again/)
    const next = await connect(t, port, 8)
    const nextThreads = new Set(await Promise.all(next.map((client) => threadOf(client))))
    assert.equal(nextThreads.size, 2)
    assert.ok(!nextThreads.has(threads[0]!))
    assert.ok(descriptorsOf(program) <= before, 'no descriptor is left of the worker')
  })

  test('an error that nobody caught is logged by its thread, which goes on', async (t) => {
    const { program, port } = await start(t, 2)
    const [client] = await connect(t, port, 1)
    const thread = await threadOf(client!)
    client!.write(get('/throw'))
    await program.match(/uncaught exception: .*thrown in a timer worker=1/)
    await client!.until('an answer', () => client!.responses().length === 2)
    assert.equal(await threadOf(client!), thread)
  })

  test('SIGTERM closes what is idle, and waits for what is not', async (t) => {
    const { program, port } = await start(t, 2)
    const [idle, busy] = await connect(t, port, 2)
    await threadOf(idle!)
    busy!.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n')
    const threads = await threadOf(idle!)
    program.kill('SIGTERM')
    await idle!.until('its end', () => idle!.ended)
    assert.ok(threads)
    busy!.destroy()
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })

  test('a second signal ends all threads at once', async (t) => {
    const { program, port } = await start(t, 2)
    const [client] = await connect(t, port, 1)
    client!.write(get('/hang'))
    program.kill('SIGTERM')
    await program.match(/stopping: work in flight/)
    program.kill('SIGTERM')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })
})

interface Running {
  readonly program: Program
  readonly port: number
}

async function start(t: TestContext, threads: number, options?: ProgramOptions): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const conf = join(folder, 'conf.yaml')
  writeFileSync(conf, `threads: ${threads}\ngrace_period_seconds: 20\n`)
  const program = runProgram(t, './threads-program.js', ['-c', conf], options)
  const port = Number((await program.listening()).split(':')[1])
  return { program, port }
}

async function connect(t: TestContext, port: number, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = []
  t.after(() => {
    for (const client of clients) client.destroy()
  })
  while (clients.length < count) clients.push(await RawClient.connect(port))
  return clients
}

/** The thread that answers the next request of `client`. */
async function threadOf(client: RawClient): Promise<string> {
  const before = client.responses().length
  client.write(get('/'))
  await client.until('an answer', () => client.responses().length > before)
  return client.responses()[before]!.body
}

function descriptorsOf(program: Program): number {
  return readdirSync(`/proc/${program.pid}/fd`).length
}
