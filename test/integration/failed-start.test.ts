/** A program that goes on after its server could not start: nothing of the server may stay open in it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { HttpPeer, Opt, Server, ServerConf, httpProxyService } from '../../src/index.js'
import { SILENT_LOGGER } from '../../src/observability/index.js'
import { Sockets, loadLibc } from '../../src/os/internal.js'
import { sendListeners } from '../../src/server/handover/send-listeners.js'
import { NodeNetwork, REAL_ENVIRONMENT, TicketKeys } from '../../src/transport/index.js'
import type { Environment, ListeningSockets } from '../../src/transport/index.js'

const libc = loadLibc()

describe('a start that fails', { skip: libc === null && 'no libc here', timeout: 30_000 }, () => {
  const sockets = new Sockets(libc!)

  test('leaves no listener open', async (t) => {
    const { env, folder } = setup(t)
    const path = join(folder, 'a.sock')
    const taken = await takenAddress(t)
    const before = socketsOfThisProcess()
    await assert.rejects(run(env, [`unix:${path}`, '127.0.0.1:0', taken]), TAKEN)
    assert.equal(existsSync(path), false)
    assert.deepEqual(newSockets(before), [])
  })

  test('closes what an old process has handed over, which learns at once that it goes on', async (t) => {
    const { env, folder, old } = setup(t)
    const [claimed, spare] = ['claimed.sock', 'spare.sock'].map((name) => join(folder, name))
    for (const path of [claimed!, spare!]) await old.listen({ kind: 'unix', path }, {})
    const upgradeSock = join(folder, 'upgrade.sock')
    const conf = new ServerConf({ upgradeSock })
    const taken = await takenAddress(t)
    const before = socketsOfThisProcess()
    const running = run(env, [`unix:${claimed}`, taken], conf, new Opt({ upgrade: true }))
    const { clock } = REAL_ENVIRONMENT
    const allowedUsers = new Set([process.getuid?.() ?? 0])
    const ticketKeys = new TicketKeys(clock)
    const parts = { libc: libc!, sockets, clock, allowedUsers, ticketKeys }
    const sending = sendListeners({ ...parts, path: upgradeSock, maxRetries: 5, listening: old })
    await assert.rejects(running, TAKEN)
    await assert.rejects(sending, { message: /ended before it was ready/ })
    assert.deepEqual(newSockets(before), [])
    // The old process serves these.
    assert.ok(existsSync(claimed!) && existsSync(spare!))
  })

  interface Setup {
    readonly env: Environment
    readonly folder: string
    /** The listeners of the process that is to be taken over. */
    readonly old: ListeningSockets
  }

  function setup(t: TestContext): Setup {
    const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
    const old = new NodeNetwork().listeningSockets!
    t.after(() => {
      for (const socket of old.open) {
        old.release(socket)
        sockets.close(socket.fd)
      }
      rmSync(folder, { recursive: true })
    })
    return { env: { ...REAL_ENVIRONMENT, network: new NodeNetwork() }, folder, old }
  }
})

/** Runs a server whose only service listens on all of `listeners`. */
function run(
  env: Environment,
  listeners: readonly string[],
  conf: ServerConf = new ServerConf(),
  opt: Opt | null = null,
): Promise<void> {
  const server = new Server(opt, conf, { env, logger: SILENT_LOGGER })
  const proxy = httpProxyService(server.configuration, {
    newCtx: () => undefined,
    upstreamPeer: () => new HttpPeer('127.0.0.1:1'),
  })
  for (const address of listeners) proxy.addListener(address)
  server.addService(proxy)
  return server.run()
}

async function takenAddress(t: TestContext): Promise<string> {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  return `127.0.0.1:${(taken.address() as AddressInfo).port}`
}

function newSockets(before: ReadonlySet<string>): string[] {
  return [...socketsOfThisProcess()].filter((socket) => !before.has(socket))
}

/** Descriptors with what they are, so that a number that is used again counts as new. */
function socketsOfThisProcess(): Set<string> {
  const found = readdirSync('/proc/self/fd').map((fd) => `${fd} ${targetOf(fd)}`)
  return new Set(found.filter((text) => text.includes('socket:')))
}

/** Empty for the descriptor of the folder, which is closed by then. */
function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

const TAKEN = { code: 'PGR_LISTEN_FAILED', message: /in use/ }
