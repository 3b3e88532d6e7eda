import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { startBackend } from './backend.js'
import { runCommand, runProgram } from './run-program.js'
import type { Program, ProgramOptions } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

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

  for (const accept of ['shared', 'reuseport'] as const) {
    test(`all workers accept by themselves with ${accept}`, async (t) => {
      const { program, port } = await start(t, 4, { accept })
      const clients = await connect(t, port, 200)
      const threads = await Promise.all(clients.map((client) => threadOf(client)))
      assert.equal(new Set(threads).size, 4)
      assert.deepEqual(await Promise.all(clients.map((client) => threadOf(client))), threads)
      // Idle clients are closed, and the process waits for nobody else.
      program.kill('SIGTERM')
      await Promise.all(clients.map((client) => client.until('its end', () => client.ended)))
      assert.deepEqual(await program.ended, { code: 0, signal: null })
    })
  }

  test('a worker that stands still keeps no client from the others, with shared', async (t) => {
    const { program, port } = await start(t, 2, { accept: 'shared' })
    const [still] = await connect(t, port, 1)
    const thread = await threadOf(still!)
    still!.write(get('/block'))
    await program.match(/standing still/)
    // One after the other: the thread that stands still is woken for one of them, and no further
    // client comes that would bring it to the other worker.
    const served: string[] = []
    for (let count = 0; count < 4; count++) {
      const [client] = await connect(t, port, 1)
      served.push(await threadOf(client!))
    }
    assert.ok(!served.includes(thread))
  })

  for (const accept of ['deal', 'shared', 'reuseport'] as const) {
    test(`a worker that ends loses its own connections alone, with ${accept}`, async (t) => {
      const { program, port } = await start(t, 2, { accept })
      const clients = await connect(t, port, 16)
      const threads = await Promise.all(clients.map((client) => threadOf(client)))
      const before = descriptorsOf(program)
      await endFirstThread(clients, threads)
      const lost = threads.filter((thread) => thread === threads[0]).length
      const ended = new RegExp(`worker (\\d) ended, starting another .*connectionsLost=${lost} `)
      const [, worker = ''] = await program.match(ended)
      for (const client of clients) client.destroy()
      // Nobody who comes in between is lost either, be it that another worker or the next one serves.
      const meanwhile = await connect(t, port, 16)
      const served = await Promise.all(meanwhile.map((client) => threadOf(client)))
      assert.ok(!served.includes(threads[0]!))
      for (const client of meanwhile) client.destroy()
      await program.match(new RegExp(`worker ${worker} serves again`))
      for (const seen = new Set<string>(); seen.size < 2;) {
        const [client] = await connect(t, port, 1)
        seen.add(await threadOf(client!))
      }
      assert.ok(descriptorsOf(program) <= before, 'no descriptor is left of the worker')
    })
  }

  test('an error that nobody caught is logged by its thread, which goes on', async (t) => {
    const { program, port } = await start(t, 2)
    const [client] = await connect(t, port, 1)
    const thread = await threadOf(client!)
    client!.write(get('/throw'))
    await program.match(/uncaught exception: .*thrown in a timer worker=1/)
    await client!.until('an answer', () => client!.responses().length === 2)
    assert.equal(await threadOf(client!), thread)
  })

  test('such an error ends its thread alone, where the program says so', async (t) => {
    const { program, port } = await start(t, 2, { variables: { ON_FATAL: 'exit' } })
    const clients = await connect(t, port, 2)
    const threads = await Promise.all(clients.map((client) => threadOf(client)))
    clients[0]!.write(get('/throw'))
    await program.match(/uncaught exception: .*thrown in a timer worker=1/)
    await clients[0]!.until('its end', () => clients[0]!.ended)
    await program.match(/worker 1 ended, starting another .*exit code 1/)
    assert.equal(await threadOf(clients[1]!), threads[1])
    await program.match(/worker 1 serves again/)
    const next = await connect(t, port, 2)
    const nextThreads = new Set(await Promise.all(next.map((client) => threadOf(client))))
    assert.equal(nextThreads.size, 2)
    assert.ok(nextThreads.has(threads[1]!) && !nextThreads.has(threads[0]!))
    program.kill('SIGTERM')
    for (const client of [...clients, ...next]) client.destroy()
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })

  for (const threads of [1, 2]) {
    test(`what the owner of a new connection throws is logged, and the client sees an end, with threads: ${threads}`, async (t) => {
      const { program, port } = await start(t, threads, { program: './unserved-program.js' })
      const [client] = await connect(t, port, 1)
      await client!.until('its end', () => client!.ended)
      await program.match(/ERROR uncaught exception: not served/)
      program.kill('SIGTERM')
      assert.deepEqual(await program.ended, { code: 0, signal: null })
    })
  }

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

  test('a program whose workers never come to run() ends with advice', async (t) => {
    const program = runProgram(t, './main-only-program.js')
    assert.equal((await program.ended).code, 1)
    const reason = /^error: worker \d: it did not come to run\(\) within 10 s; .*import\.meta\.url/
    assert.match(program.stderr, reason)
    assert.doesNotMatch(program.stderr, /listening/)
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

describe('threads where the kernel refuses io_uring', { timeout: 120_000 }, () => {
  const preload = new URL('./no-ring.js', import.meta.url).href
  const WAYS = { handles: {}, sockets: { NO_HANDLES: '1' } }
  for (const [way, variables] of Object.entries(WAYS)) {
    for (const accept of ['deal', 'shared', 'reuseport'] as const) {
      test(`lose only what their worker had, with ${accept} and the ${way} of Node`, async (t) => {
        const { program, port } = await start(t, 2, { preload, variables, accept })
        const clients = await connect(t, port, 20)
        const threads = await Promise.all(clients.map((client) => threadOf(client)))
        if (accept === 'deal') assertEven(threads)
        assertNoRings(program)
        const before = descriptorsOf(program)
        await endFirstThread(clients, threads)
        await program.match(/worker \d serves again/)
        for (const client of clients) client.destroy()
        const next = await connect(t, port, 20)
        const nextThreads = await Promise.all(next.map((client) => threadOf(client)))
        assert.ok(!nextThreads.includes(threads[0]!))
        if (accept === 'deal') assertEven(nextThreads)
        assertNoRings(program)
        assert.ok(descriptorsOf(program) <= before, 'no descriptor is left of the worker')
        program.kill('SIGTERM')
        assert.deepEqual(await program.ended, { code: 0, signal: null })
      })
    }

    test(`proxy over TCP and unix sockets, with the ${way} of Node`, async (t) => {
      const folder = temporaryFolder(t)
      const path = join(folder, 'a.sock')
      const backend = await startBackend(t, (request, response) => {
        void request.toArray().then((chunks) => {
          response.end(`got ${Buffer.concat(chunks as Buffer[]).length}`)
        })
      })
      const listeners = ['--listen', '127.0.0.1:0', '--listen', `unix:${path}`]
      const args = ['proxy', '--to', backend.address, ...listeners, '--threads', '2']
      const program = runCommand(t, args, { preload, variables })
      const port = Number((await program.listening()).split(':')[1])
      await program.match(/listening on unix:/)
      const body = 'x'.repeat(300_000)
      for (const where of [{ port }, { port }, { socketPath: path }, { socketPath: path }]) {
        assert.equal(await post(where, body), `got ${body.length}`)
      }
      assertNoRings(program)
      program.kill('SIGTERM')
      assert.deepEqual(await program.ended, { code: 0, signal: null })
      assert.equal(existsSync(path), false)
    })
  }
})

interface Running {
  readonly program: Program
  readonly port: number
}

interface StartOptions extends ProgramOptions {
  /** A path beside this file. Default: the program that tells which thread answers. */
  readonly program?: string
  /** The key of the file. Default: `deal`. */
  readonly accept?: string
}

async function start(
  t: TestContext,
  threads: number,
  { program: path = './threads-program.js', accept = 'deal', ...options }: StartOptions = {},
): Promise<Running> {
  const conf = join(temporaryFolder(t), 'conf.yaml')
  writeFileSync(conf, `threads: ${threads}\naccept: ${accept}\ngrace_period_seconds: 20\n`)
  const program = runProgram(t, path, ['-c', conf], options)
  const port = Number((await program.listening()).split(':')[1])
  return { program, port }
}

/** Has the thread of the first client end: its clients see that, and nobody else does. */
async function endFirstThread(clients: RawClient[], threads: string[]): Promise<void> {
  clients[0]!.write(get('/exit'))
  for (const [index, client] of clients.entries()) {
    if (threads[index] === threads[0]) await client.until('its end', () => client.ended)
    else assert.equal(await threadOf(client), threads[index])
  }
}

/** Whether two threads have half of the connections each. */
function assertEven(threads: string[]): void {
  assert.equal(new Set(threads).size, 2)
  assert.equal(threads.filter((thread) => thread === threads[0]).length, threads.length / 2)
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

/** From Node 22 on its own event loops have rings, so there it can only be seen in Node 20. */
function assertNoRings({ pid }: Program): void {
  if (Number.parseInt(process.versions.node, 10) >= 22) return
  const folder = `/proc/${pid}/fd`
  const targets = readdirSync(folder).map((fd) => targetOf(join(folder, fd)))
  assert.deepEqual(
    targets.filter((target) => target.includes('io_uring')),
    [],
  )
}

/** What a descriptor stands for; one that was closed since it was listed stands for nothing. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

/**
 * The body of the answer to a request on a connection of its own. The client closes it: after the
 * body Node's writes nothing once more, which fails where the server has closed it by then.
 */
async function post(where: RequestOptions, body: string): Promise<string> {
  const agent = new Agent({ keepAlive: true })
  const sent = request({ ...where, host: '127.0.0.1', method: 'POST', agent })
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const parts = await response.setEncoding('utf8').toArray()
  agent.destroy()
  return parts.join('')
}
