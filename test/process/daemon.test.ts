import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startTextBackend } from './backend.js'
import { DaemonFolder, readProc } from './daemon-run.js'

const NOWHERE = '127.0.0.1:1'
const PROGRAM = './daemon-program.js'
const balancer = (listener: string, backend: string): string =>
  `listeners: [{ address: '${listener}' }]\nupstreams: { app: { backends: [{ address: '${backend}' }] } }`

async function fetchText(address: string): Promise<string> {
  const [host, port] = address.split(':')
  const request = get({ host, port, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const parts = await response.setEncoding('utf8').toArray()
  return `${response.statusCode} ${parts.join('')}`
}

describe('-d', { timeout: 120_000 }, () => {
  test('returns once the daemon answers; its pid file ends it and goes with it', async (t) => {
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'hello')
    const run = folder.start(balancer('127.0.0.1:0', address))
    assert.equal(await run.launched, 0, run.output)
    assert.equal(run.output, '')
    // Nothing is waited for: the line, the pid and the listener are there.
    const [, listener = ''] = /listening on ([^\s"]+)/.exec(readFileSync(folder.log, 'utf8')) ?? []
    assert.equal(await fetchText(listener), '200 hello')
    assert.deepEqual(run.pids(), [folder.pid()])
    assert.equal(readProc(folder.pid(), 'comm'), 'pingora\n')
    process.kill(folder.pid(), 'SIGTERM')
    await run.allEnded
    assert.ok(!existsSync(folder.pidFile))
    assert.match(readFileSync(folder.log, 'utf8'), /"msg":"stopping: work in flight/)
  })

  test('the daemon is a session of its own, named after its program', async (t) => {
    const folder = new DaemonFolder(t)
    const run = folder.start('', { program: PROGRAM })
    assert.equal(await run.launched, 0, run.output)
    const pid = folder.pid()
    assert.equal(readProc(pid, 'comm'), 'daemon-program\n')
    const [, , , parent, group, session, terminal] = readProc(pid, 'stat').split(' ')
    assert.notEqual(Number(parent), run.launcher.pid)
    assert.deepEqual([Number(group), Number(session), terminal], [pid, pid, '0'])
    assert.match(readProc(pid, 'status'), /^Umask:\t0007$/m)
    assert.equal(readlinkSync(`/proc/${pid}/fd/0`), '/dev/null')
    await folder.logged(/"marker":false,"msg":"program starts"/)
  })

  test('without error_log the daemon is silent; the key daemon asks for it as well', async (t) => {
    const folder = new DaemonFolder(t)
    const run = folder.start('daemon: true\n# error_log: none', { program: PROGRAM, flags: [] })
    assert.equal(await run.launched, 0, run.output)
    for (const descriptor of [0, 1, 2]) {
      assert.equal(readlinkSync(`/proc/${folder.pid()}/fd/${descriptor}`), '/dev/null')
    }
    assert.ok(!existsSync(folder.log))
  })

  test('an older pid file is kept, and only its own is removed at the end', async (t) => {
    const folder = new DaemonFolder(t)
    writeFileSync(folder.pidFile, '1\n')
    const run = folder.start('', { program: PROGRAM })
    assert.equal(await run.launched, 0, run.output)
    assert.equal(readFileSync(`${folder.pidFile}.old`, 'utf8'), '1\n')
    const pid = folder.pid()
    writeFileSync(folder.pidFile, '1\n')
    process.kill(pid, 'SIGINT')
    await run.allEnded
    assert.equal(readFileSync(folder.pidFile, 'utf8'), '1\n')
  })

  test('relative paths mean what they meant before working_directory is entered', async (t) => {
    const folder = new DaemonFolder(t)
    mkdirSync(join(folder.path, 'work'))
    const yaml = 'working_directory: work\nerror_log: error.log\npid_file: pingora.pid'
    const run = folder.start(yaml, { program: PROGRAM })
    assert.equal(await run.launched, 0, run.output)
    const work = join(folder.path, 'work')
    assert.equal(readlinkSync(`/proc/${folder.pid()}/cwd`), work)
    await folder.logged(new RegExp(`"cwd":"${work}"`))
  })

  const notRoot = process.getuid?.() === 0 ? false : 'only root may bind a port below 1024'
  test('binds as root, then becomes another user', { skip: notRoot }, async (t) => {
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'hello')
    const listener = `127.0.0.1:${await freeLowPort()}`
    const run = folder.start(`${balancer(listener, address)}\nuser: nobody`)
    assert.equal(await run.launched, 0, run.output)
    assert.equal(await fetchText(listener), '200 hello')
    const pid = folder.pid()
    const { uid, gid } = statSync(folder.pidFile)
    assert.ok(uid > 0 && gid > 0)
    const status = readProc(pid, 'status')
    assert.match(status, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'))
    assert.match(status, new RegExp(`^Gid:\t${gid}\t${gid}\t${gid}\t${gid}$`, 'm'))
    assert.match(status, new RegExp(`^Groups:\t${gid} *$`, 'm'))
    // The log is the user's too: it goes on in a new file.
    renameSync(folder.log, `${folder.log}.1`)
    process.kill(pid, 'SIGUSR1')
    await folder.logged(/log file opened anew/)
    assert.deepEqual([statSync(folder.log).uid, statSync(`${folder.log}.1`).uid], [uid, uid])
    process.kill(pid, 'SIGTERM')
    await run.allEnded
    assert.ok(!existsSync(folder.pidFile))
  })
})

describe('a daemon that cannot start', { timeout: 120_000 }, () => {
  const REASONS: readonly (readonly [string, RegExp])[] = [
    ['user: nosuch', /^user: got "nosuch"; expected a user of \/etc\/passwd\n$/],
    ['group: nosuch', /^group: got "nosuch"; expected a group of \/etc\/group\n$/],
    ['error_log: no/such.log', /^error_log: \S+\/no\/such.log cannot be opened: no such file/],
    ['pid_file: no/such.pid', /^pid_file: \S+\/no\/such.pid cannot be written: no such file/],
    ['working_directory: no', /^working_directory: \S+\/no cannot be entered: no such file/],
    ['max_retries: none', /^\S+pingora\.yaml:1:14: max_retries: got "none"; expected/],
  ]
  for (const [yaml, reason] of REASONS) {
    test(`says why on stderr and exits with 1: ${yaml}`, async (t) => {
      const folder = new DaemonFolder(t)
      const run = folder.start(yaml, { program: PROGRAM })
      assert.equal(await run.launched, 1)
      assert.match(run.output, reason)
      await run.allEnded
      assert.ok(!existsSync(folder.pidFile))
    })
  }

  test('a port that is taken: leaves the pid file of the one that runs alone', async (t) => {
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'taken')
    writeFileSync(folder.pidFile, '1\n')
    const run = folder.start(balancer(address, NOWHERE))
    assert.equal(await run.launched, 1)
    assert.match(run.output, new RegExp(`^error: .*${address}.* in use\n$`))
    await run.allEnded
    assert.equal(readFileSync(folder.pidFile, 'utf8'), '1\n')
    assert.match(readFileSync(folder.log, 'utf8'), /in use/)
  })

  test('in an upgrade: the pid file is again that of the old one, which goes on', async (t) => {
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'taken')
    const old = folder.start(`upgrade_sock: u.sock\n${balancer('127.0.0.1:0', NOWHERE)}`)
    assert.equal(await old.launched, 0, old.output)
    const pid = folder.pid()
    const yaml = `upgrade_sock: u.sock\n${balancer(address, NOWHERE)}`
    const failing = folder.start(yaml, { flags: ['-d', '-u'] })
    assert.equal(await failing.launched, 0, failing.output)
    assert.notEqual(folder.pid(), pid)
    process.kill(pid, 'SIGQUIT')
    await failing.allEnded
    assert.equal(folder.pid(), pid)
    assert.ok(!existsSync(`${folder.pidFile}.old`))
    process.kill(pid, 'SIGTERM')
    await old.allEnded
    assert.ok(!existsSync(folder.pidFile))
  })

  test('a program that throws: shows its trace, also without error_log', async (t) => {
    const folder = new DaemonFolder(t)
    const env = { DAEMON_PROGRAM: 'throw' }
    for (const yaml of ['', '# error_log: none']) {
      const run = folder.start(yaml, { program: PROGRAM, env })
      assert.equal(await run.launched, 1)
      assert.match(run.output, /^Error: thrown at the start\n {4}at .*daemon-program\.js/)
      await run.allEnded
    }
    assert.match(readFileSync(folder.log, 'utf8'), /Error: thrown at the start/)
  })

  test('a program that exits or crashes: says how it ended, and where it may have said why', async (t) => {
    const folder = new DaemonFolder(t)
    for (const [way, how] of [
      ['exit', 'exit code 7'],
      ['hang', 'SIGKILL'],
    ] as const) {
      const run = folder.start('', { program: PROGRAM, env: { DAEMON_PROGRAM: way } })
      if (way === 'hang') {
        await folder.logged(/program starts/)
        const daemon = run.pids().find((pid) => pid !== run.launcher.pid)
        process.kill(daemon!, 'SIGKILL')
      }
      assert.equal(await run.launched, 1)
      assert.match(
        run.output,
        new RegExp(`ended before it was ready, with ${how}; ${folder.log} may say why\n$`),
      )
    }
  })

  test('one that is not ready in time, or that nobody waits for any more, is killed', async (t) => {
    const folder = new DaemonFolder(t)
    const hang = { program: PROGRAM, env: { DAEMON_PROGRAM: 'hang' } }
    const late = folder.start('daemon_ready_timeout_seconds: 1', hang)
    assert.equal(await late.launched, 1)
    assert.equal(late.output, 'error: the daemon was not ready within 1 s\n')
    await late.allEnded
    rmSync(folder.log, { force: true })
    const left = folder.start('', hang)
    await folder.logged(/program starts/)
    left.launcher.kill('SIGINT')
    assert.equal(await left.launched, 1)
    assert.equal(left.output, 'error: SIGINT before the daemon was ready\n')
    await left.allEnded
  })

  test('-t only checks: nothing is bound, opened or started', async (t) => {
    const folder = new DaemonFolder(t)
    const { address } = await startTextBackend(t, 'taken')
    const good = folder.start(balancer(address, NOWHERE), { flags: ['-td'] })
    assert.equal(await good.launched, 0, good.output)
    assert.equal(good.output, 'the configuration is ok\n')
    const bad = folder.start(`${balancer(address, NOWHERE)}\nuser: nosuch`, { flags: ['-td'] })
    assert.equal(await bad.launched, 1)
    assert.match(bad.output, /^user: got "nosuch"/)
    assert.ok(!existsSync(folder.log) && !existsSync(folder.pidFile))
  })
})

describe('the log of a daemon', { timeout: 120_000 }, () => {
  test('SIGUSR1: later lines are in the new file, stdout and stderr too, and none is lost', async (t) => {
    const folder = new DaemonFolder(t)
    const run = folder.start(balancer('127.0.0.1:0', NOWHERE))
    assert.equal(await run.launched, 0, run.output)
    const [listener, pid] = [await folder.listening(), folder.pid()]
    const ask = (count: number): Promise<string[]> =>
      Promise.all(Array.from({ length: count }, () => fetchText(listener)))
    await ask(3)
    // Each request is one line of the log; these are under way while the file changes.
    const during = ask(30)
    renameSync(folder.log, `${folder.log}.1`)
    process.kill(pid, 'SIGUSR1')
    await folder.logged(/log file opened anew/)
    await during
    await ask(3)
    const [old, now] = [`${folder.log}.1`, folder.log].map((path) => readFileSync(path, 'utf8'))
    const failures = [...old!.split('\n'), ...now!.split('\n')]
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { msg: string })
      .filter(({ msg }) => msg === 'request failed')
    assert.equal(failures.length, 36)
    assert.ok(now!.match(/request failed/g)!.length >= 3)
    for (const descriptor of [1, 2]) {
      assert.equal(readlinkSync(`/proc/${pid}/fd/${descriptor}`), folder.log)
    }
  })

  test('SIGUSR1 without koffi: the log moves, only stdout and stderr stay', async (t) => {
    const folder = new DaemonFolder(t)
    const nodeFlags = ['--import', new URL('./no-koffi.js', import.meta.url).href]
    const run = folder.start('', { program: PROGRAM, nodeFlags })
    assert.equal(await run.launched, 0, run.output)
    renameSync(folder.log, `${folder.log}.1`)
    process.kill(folder.pid(), 'SIGUSR1')
    await folder.logged(/log file opened anew/)
    assert.equal(readlinkSync(`/proc/${folder.pid()}/fd/2`), `${folder.log}.1`)
  })

  test('SIGUSR1 when no new file can be opened: says so in the old one', async (t) => {
    const folder = new DaemonFolder(t)
    const run = folder.start('', { program: PROGRAM })
    assert.equal(await run.launched, 0, run.output)
    const old = `${folder.log}.1`
    renameSync(folder.log, old)
    mkdirSync(folder.log)
    process.kill(folder.pid(), 'SIGUSR1')
    await folder.until('the old log says it', () =>
      /log file not opened anew: .* directory/.test(readFileSync(old, 'utf8')),
    )
  })

  test('has what the program prints', async (t) => {
    const folder = new DaemonFolder(t)
    const env = { DAEMON_PROGRAM: 'crash' }
    const run = folder.start('', { program: PROGRAM, env })
    assert.equal(await run.launched, 0, run.output)
    await run.allEnded
    assert.match(readFileSync(folder.log, 'utf8'), /^printed$/m)
  })

  test('takes its level from the environment, then from the file', async (t) => {
    const folder = new DaemonFolder(t)
    const cases = [
      [{ PINGORA_LOG: 'error', RUST_LOG: 'info' }, 'info', false],
      [{ PINGORA_LOG: '', RUST_LOG: 'info' }, 'error', true],
      [{ PINGORA_LOG: '', RUST_LOG: '' }, 'error', false],
    ] as const
    for (const [env, level, expected] of cases) {
      rmSync(folder.log, { force: true })
      const run = folder.start(`log_level: ${level}`, { program: PROGRAM, env })
      assert.equal(await run.launched, 0, run.output)
      assert.equal(readFileSync(folder.log, 'utf8').includes('running in the background'), expected)
      await run.end()
    }
  })
})

/** Nobody else uses such ports here; the search only avoids the few that are taken. */
async function freeLowPort(): Promise<number> {
  for (let port = 1023; port > 600; port--) {
    const server = createServer().listen(port, '127.0.0.1')
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
  throw new Error('no free port below 1024')
}
