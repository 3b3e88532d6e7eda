import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { testCa } from '../helpers/certificates.js'
import { startBackend, startTextBackend } from './backend.js'
import { runCommand, runProgram } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const NOWHERE = '127.0.0.1:1'

/** One request on a connection of its own. */
function request(address: string, options: RequestOptions = {}): ClientRequest {
  const [host, port] = address.split(':')
  return get({ host, port, agent: false, ...options })
}

async function fetchText(address: string, options?: RequestOptions): Promise<string> {
  const [response] = (await once(request(address, options), 'response')) as [IncomingMessage]
  let text = `${response.statusCode} `
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string
  return text
}

function temporaryFile(t: TestContext, name: string, text: string): string {
  const directory = temporaryFolder(t)
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

describe('pingora', () => {
  test('prints help and version', async (t) => {
    const help = runCommand(t, ['--help'])
    assert.equal((await help.ended).code, 0)
    assert.match(help.stdout, /pingora proxy --to URL/)
    const version = runCommand(t, ['--version'])
    assert.equal((await version.ended).code, 0)
    assert.match(version.stdout, /^pingora-ts \d+\.\d+\.\d+\n$/)
  })

  const WRONG: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /a command is missing\nUsage: pingora/],
    [['prox'], /unknown command "prox"; did you mean proxy\?/],
    [['run'], /-c FILE is missing/],
    [['run', '-c', 'x.yaml', 'y'], /Unexpected argument 'y'/],
    [['proxy'], /--to URL is missing/],
    [['proxy', '--to', NOWHERE, '--cache', '10mb'], /--cache: not available yet/],
    [
      ['proxy', '--to', NOWHERE, '--threads', '0'],
      /--threads: got "0"; expected an integer from 1/,
    ],
  ]
  test('answers wrong usage with its reason and exit code 2', async (t) => {
    for (const [args, expected] of WRONG) {
      const program = runCommand(t, args)
      assert.equal((await program.ended).code, 2, args.join(' '))
      assert.match(program.stderr, expected)
    }
  })

  test('answers a bad configuration with its place and exit code 1', async (t) => {
    const file = temporaryFile(
      t,
      'pingora.yaml',
      'listeners:\n  - adress: 127.0.0.1:0\nupstreams: {}\n',
    )
    const program = runCommand(t, ['-c', file])
    assert.equal((await program.ended).code, 1)
    assert.match(
      program.stderr,
      /^\S+pingora\.yaml:2:5: listeners\[0\]\.adress: unknown key; did you mean address\?$/m,
    )
    assert.doesNotMatch(program.stderr, / {4}at /)
    const missing = runCommand(t, ['-c', `${file}.no`])
    assert.equal((await missing.ended).code, 1)
    assert.match(missing.stderr, /pingora\.yaml\.no: cannot be read: no such file/)
  })

  test('checks with -t without binding anything', async (t) => {
    const { address } = await startTextBackend(t, 'taken')
    const yaml = `listeners: [{ address: '${address}' }]\nupstreams: { a: { backends: [{ address: '${NOWHERE}' }] } }`
    const good = runCommand(t, ['-t', '-c', temporaryFile(t, 'good.yaml', yaml)])
    assert.deepEqual(await good.ended, { code: 0, signal: null }, good.stderr)
    assert.match(good.stdout, /the configuration is ok/)
    const bad = runCommand(t, ['-t', '-c', temporaryFile(t, 'bad.yaml', `${yaml}\nthreads: 0`)])
    assert.equal((await bad.ended).code, 1)
    assert.match(bad.stderr, /bad\.yaml:3:10: threads: got 0/)
  })

  test('says which listener cannot be bound and why, with exit code 1', async (t) => {
    const { address } = await startTextBackend(t, 'taken')
    const program = runCommand(t, [
      'proxy',
      '--listen',
      address,
      '--to',
      NOWHERE,
      '--health-check',
      'tcp',
    ])
    assert.equal((await program.ended).code, 1)
    assert.match(program.stderr, new RegExp(`^error: .*${address}.*in use`, 'm'))
    assert.doesNotMatch(program.stderr, / {4}at /)
  })

  test('proxy sends requests to its backends in turn, and to those that live when one dies', async (t) => {
    const backends = [await startTextBackend(t, 'a'), await startTextBackend(t, 'b')]
    const to = backends.flatMap(({ address }) => ['--to', `http://${address}`])
    const program = runCommand(t, ['proxy', '--listen', '127.0.0.1:0', ...to])
    const address = await program.listening()
    const turns: string[] = []
    for (let turn = 0; turn < 4; turn++) turns.push(await fetchText(address))
    assert.deepEqual(turns.sort(), ['200 a', '200 a', '200 b', '200 b'])
    await backends[0]!.stop()
    for (let turn = 0; turn < 4; turn++) assert.equal(await fetchText(address), '200 b')
    program.kill('SIGINT')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })

  test('proxy verifies its HTTPS backends, and those of the health check, against ca_file', async (t) => {
    const ca = await testCa()
    const leaf = await ca.issue({ names: ['one.one.one.one'] })
    const backend = await startBackend(t, (_request, response) => response.end('safe'), leaf)
    const serverFile = temporaryFile(t, 'server.yaml', 'ca_file: ca.crt\n')
    writeFileSync(join(serverFile, '..', 'ca.crt'), ca.cert)
    const flags = [
      '--listen',
      '127.0.0.1:0',
      '--to',
      `https://${backend.address}`,
      '--health-check',
      'tcp',
    ]
    const named = [...flags, '-c', serverFile, '--sni']
    const good = runCommand(t, ['proxy', ...named, 'one.one.one.one'])
    assert.equal(await fetchText(await good.listening()), '200 safe')
    // Another name, and a CA that the machine does not know, must not pass for healthy.
    for (const args of [
      [...named, 'two.two.two.two'],
      [...flags, '--sni', 'one.one.one.one'],
    ]) {
      const bad = runCommand(t, ['proxy', ...args])
      assert.match(await fetchText(await bad.listening()), /^503 /)
      assert.match(bad.stderr, /PGR_CERTIFICATE_INVALID/)
    }
  })

  test('run serves a unix socket beside its file, and tells the backend who asks', async (t) => {
    const { address } = await startBackend(t, ({ headers }, response) => {
      const { host, via } = headers
      response.end(
        JSON.stringify([host, via, headers['x-forwarded-for'], headers['x-forwarded-host']]),
      )
    })
    const yaml = [
      "listeners: [{ address: 'unix:pingora.sock' }, { address: '127.0.0.1:0' }]",
      `upstreams: { app: { backends: [{ address: '${address}' }], host_header: app.internal } }`,
      'my_own_setting: 1',
    ].join('\n')
    const file = temporaryFile(t, 'pingora.yaml', yaml)
    const program = runCommand(t, ['run', '-c', file])
    const [, tcp = ''] = await program.match(/listening on (127\S+)/)
    assert.match(program.stderr, /WARN .*pingora\.yaml:3:1: my_own_setting: unknown key, ignored/)
    const headers = { Host: 'www', 'X-Forwarded-For': '6.6.6.6' }
    assert.equal(
      await fetchText(tcp, { headers }),
      '200 ["app.internal","1.1 pingora-ts","127.0.0.1","www"]',
    )
    const socketPath = join(file, '..', 'pingora.sock')
    const overUnix = await fetchText('', { socketPath, headers: { Host: 'www' } })
    assert.equal(overUnix, '200 ["app.internal","1.1 pingora-ts",null,"www"]')
  })

  test('SIGTERM lets the request in flight end, and takes no new one', async (t) => {
    let answer = (): void => undefined
    const { address } = await startBackend(t, (_request, response) => {
      answer = () => response.end('late')
      response.flushHeaders()
    })
    const program = runCommand(t, ['proxy', '--listen', '127.0.0.1:0', '--to', address])
    const listener = await program.listening()
    const pending = request(listener)
    const [response] = (await once(pending, 'response')) as [IncomingMessage]
    program.kill('SIGTERM')
    await program.match(/stopping: work in flight/)
    await assert.rejects(fetchText(listener), { code: 'ECONNREFUSED' })
    answer()
    response.setEncoding('utf8')
    assert.deepEqual((await response.toArray()).join(''), 'late')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })

  test('a second signal and SIGINT end it at once', async (t) => {
    for (const signals of [['SIGINT'], ['SIGTERM', 'SIGTERM'], ['SIGTERM', 'SIGINT']] as const) {
      const { address } = await startBackend(t, (_request, response) => response.flushHeaders())
      const program = runCommand(t, ['proxy', '--listen', '127.0.0.1:0', '--to', address])
      const pending = request(await program.listening())
      const [response] = (await once(pending, 'response')) as [IncomingMessage]
      response.on('error', () => undefined)
      for (const signal of signals) {
        program.kill(signal)
        if (signals.length > 1) await program.match(/stopping: work in flight/)
      }
      assert.deepEqual(await program.ended, { code: 0, signal: null }, signals.join(' '))
    }
  })

  test('SIGHUP and SIGUSR1 are logged and end nothing', async (t) => {
    const { address } = await startTextBackend(t, 'alive')
    const program = runCommand(t, ['proxy', '--listen', '127.0.0.1:0', '--to', address])
    const listener = await program.listening()
    for (const signal of ['SIGHUP', 'SIGUSR1'] as const) {
      program.kill(signal)
      await program.match(new RegExp(`${signal} ignored`))
    }
    assert.equal(await fetchText(listener), '200 alive')
    assert.doesNotMatch(program.stderr, /[Dd]ebugger/)
  })

  test('demo answers from its two live backends in turn and prints each request', async (t) => {
    const program = runProgram(t, './demo-on-free-port.js')
    const address = await program.listening()
    const answers: string[] = []
    for (let turn = 0; turn < 6; turn++) answers.push(await fetchText(address))
    answers.sort()
    assert.deepEqual(new Set(answers.slice(0, 3)), new Set(['200 Hello from backend A\n']))
    assert.deepEqual(new Set(answers.slice(3)), new Set(['200 Hello from backend B\n']))
    await program.match(/(?:GET \/ -> backend [AB] \(127\.0\.0\.1:\d+\) 200\n){6}/)
    program.kill('SIGINT')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })
})

describe('a program with Opt.parseArgs()', () => {
  test('goes on after errors that nobody caught', async (t) => {
    const program = runProgram(t, './faulty-program.js')
    await program.match(/ERROR uncaught exception: thrown in a timer/)
    await program.match(/ERROR unhandled rejection: never caught/)
    program.kill('SIGTERM')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
  })

  test('ends with them when it asked for that', async (t) => {
    process.env['ON_FATAL'] = 'exit'
    t.after(() => {
      delete process.env['ON_FATAL']
    })
    const program = runProgram(t, './faulty-program.js')
    assert.equal((await program.ended).code, 1)
  })

  test('prints help that names it, and answers flags it does not have with exit code 2', async (t) => {
    const help = runProgram(t, './faulty-program.js', ['-h'])
    assert.equal((await help.ended).code, 0)
    assert.match(help.stdout, /^Usage: faulty-program\.js \[-c FILE\]/)
    for (const flag of ['--colour', '-x']) {
      const program = runProgram(t, './faulty-program.js', [flag])
      assert.equal((await program.ended).code, 2)
      assert.match(program.stderr, /^error: .*\nUsage: faulty-program\.js/)
    }
  })

  test('answers a bad -c file with its place, exit code 1 and no stack', async (t) => {
    const file = temporaryFile(t, 'conf.yaml', 'threads: many\n')
    const program = runProgram(t, './faulty-program.js', ['-c', file])
    assert.equal((await program.ended).code, 1)
    assert.equal(
      program.stderr,
      `${file}:1:10: threads: got "many"; expected an integer from 1 to 256\n`,
    )
  })
})
