import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { testCa } from '../helpers/certificates.js'
import { projectRoot } from '../helpers/project-root.js'
import { startBackend } from './backend.js'
import { DaemonFolder, DaemonRun, readProc } from './daemon-run.js'
import { listeningPorts } from './listening-ports.js'

const ADDRESS_LIST = "['1.1.1.1:443', '1.0.0.1:443', '127.0.0.1:343']"

// The commands that the quick start of Pingora has for its users, in their order.
test('the commands of the quick start, one after the other', { timeout: 120_000 }, async (t) => {
  const folder = new DaemonFolder(t)
  const ca = await testCa()
  const certificate = await ca.issue({ names: ['one.one.one.one'] })
  const live = await Promise.all(
    [1, 2].map((number) =>
      startBackend(t, (_request, response) => response.end(`backend ${number}`), certificate),
    ),
  )
  const source = readFileSync(join(projectRoot(), 'build/examples/load-balancer.js'), 'utf8')
  const addresses = JSON.stringify([...live.map(({ address }) => address), '127.0.0.1:1'])
  // Inside the project, so that it finds the library by its name as a user's program does.
  const name = `lb-${randomUUID().slice(0, 8)}`
  const program = join(projectRoot(), `build/examples/${name}.js`)
  assert.ok(source.includes(ADDRESS_LIST))
  writeFileSync(program, source.replace(ADDRESS_LIST, addresses))
  t.after(() => {
    rmSync(program)
  })
  writeFileSync(join(folder.path, 'ca.crt'), ca.cert)
  const preloads = ['./free-port-6188.js', './private-pid-file.js']
  const nodeFlags = preloads.flatMap((path) => ['--import', new URL(path, import.meta.url).href])
  const run = (...args: string[]): DaemonRun => {
    const started = new DaemonRun(args, {
      program: `../../examples/${name}.js`,
      nodeFlags,
      env: {
        RUST_LOG: 'INFO',
        PINGORA_LOG: '',
        PRIVATE_PID_FILE: folder.pidFile,
        // Without a file nothing but Node itself says whom to trust.
        NODE_EXTRA_CA_CERTS: join(folder.path, 'ca.crt'),
      },
    })
    t.after(() => started.end())
    return started
  }

  const help = run('-h')
  assert.equal(await help.launched, 0)
  assert.match(help.output, /-u, --upgrade/)

  const alone = run('-d')
  assert.equal(await alone.launched, 0, alone.output)
  assert.deepEqual(alone.pids(), [folder.pid()])
  // It has no log that would say where.
  const [port] = listeningPorts(folder.pid())
  assert.deepEqual(new Set(await ask(String(port), 4)), new Set(['backend 1', 'backend 2']))
  assert.equal(readProc(folder.pid(), 'comm'), `${name}\n`)
  process.kill(folder.pid(), 'SIGTERM')
  await alone.allEnded
  assert.equal(existsSync(folder.pidFile), false)

  const conf = join(folder.path, 'conf.yaml')
  writeFileSync(
    conf,
    [
      '---',
      'version: 1',
      'threads: 2',
      'pid_file: pingora.pid',
      'error_log: error.log',
      'upgrade_sock: load_balancer.sock',
      'upgrade_sock_connect_accept_max_retries: 60',
      'ca_file: ca.crt',
      'grace_period_seconds: 20',
      '',
    ].join('\n'),
  )
  const first = run('-c', conf, '-d')
  assert.equal(await first.launched, 0, first.output)
  const [, listener = ''] = await folder.logged(/listening on 0\.0\.0\.0:(\d+)/)
  assert.deepEqual(new Set(await ask(listener, 4)), new Set(['backend 1', 'backend 2']))
  const oldPid = folder.pid()
  assert.equal(readProc(oldPid, 'comm'), `${name}\n`)

  process.kill(oldPid, 'SIGQUIT')
  const second = run('-c', conf, '-d', '-u')
  assert.equal(await second.launched, 0, second.output)
  await first.allEnded
  const newPid = folder.pid()
  assert.notEqual(newPid, oldPid)
  assert.equal((await ask(listener, 4)).length, 4)

  process.kill(newPid, 'SIGTERM')
  await second.allEnded
  assert.equal(existsSync(folder.pidFile), false)
})

async function ask(port: string, count: number): Promise<string[]> {
  const bodies: string[] = []
  for (let i = 0; i < count; i++) {
    const request = get({ port, host: '127.0.0.1', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 200)
    bodies.push(Buffer.concat(await response.toArray()).toString())
  }
  return bodies
}
