/** The protocols of systemd, with a test in its place: real datagrams, descriptors and signals. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Sockets, loadLibc, receiveDescriptors } from '../../src/os/internal.js'
import { RawClient } from '../helpers/raw-client.js'
import { startTextBackend } from './backend.js'
import { DaemonFolder } from './daemon-run.js'
import { PATIENT_UPGRADE } from './patient-upgrade.js'
import { runCommand } from './run-program.js'
import type { Program, ProgramOptions } from './run-program.js'

const libc = loadLibc()
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

describe('under systemd', { skip: libc === null && 'no libc here', timeout: 60_000 }, () => {
  const sockets = new Sockets(libc!)

  for (const kind of ['path', 'abstract'] as const) {
    test(`tells by a socket with ${kind} name when it is ready, and when it stops`, async (t) => {
      const systemd = fakeSystemd(t, kind)
      const program = await startProxy(t, ['--listen', '127.0.0.1:0'], systemd)
      assert.equal(await systemd.next(), 'READY=1')
      program.kill('SIGTERM')
      assert.equal(await systemd.next(), 'STOPPING=1')
      assert.deepEqual(await program.ended, { code: 0, signal: null })
      assert.doesNotMatch(program.stderr, /systemd/)
    })
  }

  test('gives signs of life as often as the watchdog wants them, if they are for it', async (t) => {
    const start = async (pid: string): Promise<[Program, FakeSystemd]> => {
      const systemd = fakeSystemd(t, 'path')
      const shell = `export WATCHDOG_USEC=20000 WATCHDOG_PID=${pid}`
      const program = await startProxy(t, ['--listen', '127.0.0.1:0'], { ...systemd, shell })
      assert.equal(await systemd.next(), 'READY=1')
      return [program, systemd]
    }
    const [watched, systemd] = await start('$$')
    for (let beats = 0; beats < 3; beats++) assert.equal(await systemd.next(), 'WATCHDOG=1')
    watched.kill('SIGTERM')
    assert.equal((await watched.ended).code, 0)
    const [other, othersSystemd] = await start('1')
    other.kill('SIGTERM')
    assert.equal(await othersSystemd.next(), 'STOPPING=1')
    assert.equal((await other.ended).code, 0)
  })

  test('names its new main process after an upgrade, and does not stop', async (t) => {
    const systemd = fakeSystemd(t, 'path')
    const conf = join(systemd.folder, 'conf.yaml')
    writeFileSync(conf, `${PATIENT_UPGRADE}\n`)
    const args = ['--listen', '127.0.0.1:0', '-c', conf]
    const old = await startProxy(t, args, systemd)
    assert.equal(await systemd.next(), 'READY=1')
    const starting = startProxy(t, [...args, '-u'], systemd)
    old.kill('SIGQUIT')
    const next = await starting
    assert.equal(await systemd.next(), `READY=1\nMAINPID=${next.pid}`)
    assert.equal((await old.ended).code, 0)
    next.kill('SIGTERM')
    assert.equal(await systemd.next(), 'STOPPING=1')
    assert.equal((await next.ended).code, 0)
  })

  test('with -d names the daemon as its main process before the command returns', async (t) => {
    const systemd = fakeSystemd(t, 'path')
    const folder = new DaemonFolder(t)
    // Until there is room in the queue systemd knows of nobody but the launcher.
    const waiting = systemd.fill()
    const run = folder.start('', { program: './daemon-program.js', env: systemd.variables })
    await folder.logged(/running in the background/)
    assert.equal(run.launcher.exitCode, null)
    for (let left = waiting; left > 0; left--) await systemd.next()
    assert.equal(await run.launched, 0, run.output)
    assert.equal(systemd.now(), `READY=1\nMAINPID=${folder.pid()}`)
    process.kill(folder.pid(), 'SIGTERM')
    assert.equal(await systemd.next(), 'STOPPING=1')
    await run.allEnded
  })

  test('with -d and -u names the daemon that has taken over', async (t) => {
    const systemd = fakeSystemd(t, 'path')
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'hello')
    const yaml = [
      PATIENT_UPGRADE,
      "listeners: [{ address: '127.0.0.1:0' }]",
      `upstreams: { app: { backends: [{ address: '${address}' }] } }`,
    ].join('\n')
    const first = folder.start(yaml, { env: systemd.variables })
    assert.equal(await first.launched, 0, first.output)
    const old = folder.pid()
    assert.equal(systemd.now(), `READY=1\nMAINPID=${old}`)
    const second = folder.start(yaml, { env: systemd.variables, flags: ['-d', '-u'] })
    assert.equal(await second.launched, 0, second.output)
    process.kill(old, 'SIGQUIT')
    assert.notEqual(folder.pid(), old)
    assert.equal(await systemd.next(), `READY=1\nMAINPID=${folder.pid()}`)
    await first.allEnded
    process.kill(folder.pid(), 'SIGTERM')
    assert.equal(await systemd.next(), 'STOPPING=1')
    await second.allEnded
  })

  test('with -d the daemon gives the signs of life that systemd wants of the launcher', async (t) => {
    const systemd = fakeSystemd(t, 'path')
    const folder = new DaemonFolder(t)
    const run = folder.start('', {
      program: './daemon-program.js',
      env: { ...systemd.variables, WATCHDOG_USEC: '20000' },
      shell: 'export WATCHDOG_PID=$$',
    })
    assert.equal(await run.launched, 0, run.output)
    assert.equal(await systemd.next(), `READY=1\nMAINPID=${folder.pid()}`)
    assert.equal(await systemd.next(), 'WATCHDOG=1')
  })

  test('serves without koffi, and says once that systemd is not told', async (t) => {
    const systemd = fakeSystemd(t, 'path')
    const preload = new URL('./no-koffi.js', import.meta.url).href
    const program = await startProxy(t, ['--listen', '127.0.0.1:0'], { ...systemd, preload })
    program.kill('SIGTERM')
    assert.equal((await program.ended).code, 0)
    assert.deepEqual(program.stderr.match(/systemd.*/g), [
      'systemd is not told: that needs Linux and the package koffi',
    ])
  })

  test('says why systemd cannot be told, and serves all the same', async (t) => {
    const gone = { variables: { NOTIFY_SOCKET: '/nowhere/notify' } }
    const program = await startProxy(t, ['--listen', '127.0.0.1:0'], gone)
    await program.match(/systemd was not told READY=1 .*no such file or directory/)
    program.kill('SIGTERM')
    assert.equal((await program.ended).code, 0)
  })

  test('takes the sockets that systemd has opened, with the clients who wait', async (t) => {
    const { folder } = fakeSystemd(t, 'path')
    const path = join(folder, 'a.sock')
    const web = listening(t, { kind: 'ip', host: '127.0.0.1', port: 0 })
    const both = listening(t, { kind: 'ip', host: '::', port: 0 })
    const local = listening(t, { kind: 'unix', path })
    const spare = listening(t, { kind: 'ip', host: '127.0.0.1', port: 0 })
    chmodSync(path, 0o600)
    const [webPort, bothPort, sparePort] = [web, both, spare].map((fd) => sockets.localEnd(fd)[1])
    const waiting = await RawClient.connect(webPort!)
    waiting.write(REQUEST)
    const conf = join(folder, 'conf.yaml')
    writeFileSync(conf, `${PATIENT_UPGRADE}\n`)
    // The address of all interfaces is written in another way than the system would.
    const addresses = [`127.0.0.1:${webPort}`, `[0::0]:${bothPort}`, `unix:${path}`]
    const args = [...addresses.flatMap((address) => ['--listen', address]), '-c', conf]
    const old = await startProxy(t, args, {
      descriptors: [web, both, local, spare, openFile(t, conf)],
      shell: 'export LISTEN_FDS=5 LISTEN_PID=$$ LISTEN_FDNAMES=web:both:local:spare:file',
    })
    await old.match(/listening on unix:/)
    await waiting.until('an answer', () => waiting.text.endsWith('hello'))
    for (const port of [webPort!, bothPort!]) assert.match(await ask(port), /hello$/)
    await old.match(new RegExp(`descriptor 4 \\(both\\) listens on \\[::\\]:${bothPort}\\b`))
    await old.match(/descriptor 7 \(file\) is no socket that listens/)
    await old.match(new RegExp(`no listener asks for 127.0.0.1:${sparePort}, which is closed`))
    // They are systemd's in the next process too: its file stays as it is.
    const starting = startProxy(t, [...args, '-u'])
    old.kill('SIGQUIT')
    const next = await starting
    assert.equal((await old.ended).code, 0)
    assert.match(await ask(webPort!), /hello$/)
    next.kill('SIGTERM')
    assert.equal((await next.ended).code, 0)
    assert.ok(existsSync(path))
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  test('leaves sockets alone that are for another process', async (t) => {
    const web = listening(t, { kind: 'ip', host: '127.0.0.1', port: 0 })
    const address = `127.0.0.1:${sockets.localEnd(web)[1]}`
    const program = runCommand(t, ['proxy', '--to', '127.0.0.1:1', '--listen', address], {
      descriptors: [web],
      variables: { LISTEN_FDS: '1', LISTEN_PID: '1' },
    })
    assert.equal((await program.ended).code, 1)
    assert.match(program.stderr, /address already in use/)
  })

  interface FakeSystemd extends ProgramOptions {
    readonly folder: string
    readonly variables: Readonly<Record<string, string>>
    /** The next message. */
    readonly next: () => Promise<string>
    /** The message that is there now, if there is one. */
    readonly now: () => string | null
    /** Leaves no room for another message. Returns how many there are. */
    readonly fill: () => number
  }

  function fakeSystemd(t: TestContext, kind: 'path' | 'abstract'): FakeSystemd {
    const folder = mkdtempSync(join(tmpdir(), 'pingora-'))
    const path = kind === 'path' ? join(folder, 'notify') : `\0pingora-ts/${randomUUID()}`
    const fd = sockets.openDatagram()
    t.after(() => {
      sockets.close(fd)
      rmSync(folder, { recursive: true })
    })
    assert.equal(sockets.bind(fd, { kind: 'unix', path }), 0)
    sockets.setNonBlocking(fd)
    const now = (): string | null => {
      const message = receiveDescriptors(libc!, fd, 1_000)
      if (typeof message === 'object') return message.bytes.toString()
      assert.equal(message, -constants.errno.EAGAIN)
      return null
    }
    const next = async (): Promise<string> => {
      for (;;) {
        const message = now()
        if (message !== null) return message
        await new Promise(setImmediate)
      }
    }
    const fill = (): number => {
      const sender = sockets.openDatagram()
      assert.equal(sockets.connect(sender, { kind: 'unix', path }), 0)
      let sent = 0
      while (sockets.send(sender, ['full']) > 0) sent++
      sockets.close(sender)
      return sent
    }
    return { folder, next, now, fill, variables: { NOTIFY_SOCKET: path.replace('\0', '@') } }
  }

  /** Starts a balancer before a backend that says hello; resolves when it listens. */
  async function startProxy(
    t: TestContext,
    args: readonly string[],
    options: ProgramOptions = {},
  ): Promise<Program> {
    const backend = await startTextBackend(t, 'hello')
    const program = runCommand(t, ['proxy', '--to', backend.address, ...args], options)
    await program.listening()
    return program
  }

  function listening(t: TestContext, name: Parameters<Sockets['open']>[0]): number {
    const fd = sockets.open(name)
    t.after(() => {
      sockets.close(fd)
    })
    assert.equal(sockets.bind(fd, name), 0)
    assert.equal(sockets.listen(fd, 10), 0)
    return fd
  }

  function openFile(t: TestContext, path: string): number {
    const fd = openSync(path, 'r')
    t.after(() => {
      closeSync(fd)
    })
    return fd
  }

  async function ask(port: number): Promise<string> {
    const client = await RawClient.connect(port)
    client.write(REQUEST)
    await client.until('an answer', () => client.ended)
    client.destroy()
    return client.text
  }
})
