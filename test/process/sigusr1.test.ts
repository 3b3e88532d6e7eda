/** SIGUSR1 opens the log anew, and never Node's debugger, for which that is the signal too. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync } from 'node:fs'
import { get } from 'node:http'
import { describe, test } from 'node:test'
import { DaemonFolder, readProc } from './daemon-run.js'
import { listeningPorts } from './listening-ports.js'
import { Program, runCommand } from './run-program.js'

const NOWHERE = '127.0.0.1:1'
const ANY_PORT = '--inspect-port=0'
const DEBUGGER = /debugger|inspector/i

describe('SIGUSR1', { timeout: 120_000 }, () => {
  test('opens a port of the debugger in a program without a server', async (t) => {
    const code = 'console.error("up"); setInterval(() => {}, 60000)'
    const child = spawn(process.execPath, [ANY_PORT, '-e', code], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const program = new Program(child)
    t.after(async () => {
      child.kill('SIGKILL')
      await program.ended
    })
    await program.match(/up/)
    assert.deepEqual(listeningPorts(program.pid), [])
    program.kill('SIGUSR1')
    await program.match(DEBUGGER)
    assert.equal(listeningPorts(program.pid).length, 1)
  })

  for (const threads of [1, 2]) {
    test(`is logged and no more in the foreground, threads: ${threads}`, async (t) => {
      const args = ['--listen', '127.0.0.1:0', '--to', NOWHERE, '--threads', String(threads)]
      const program = runCommand(t, ['proxy', ...args])
      const [, port] = (await program.listening()).split(':')
      for (const count of [1, 2]) {
        program.kill('SIGUSR1')
        await program.match(new RegExp(`(SIGUSR1 ignored[^]*){${count}}`))
      }
      assert.deepEqual(listeningPorts(program.pid), [Number(port)])
      assert.doesNotMatch(program.stderr, DEBUGGER)
    })

    test(`opens the log of a daemon anew, threads: ${threads}`, async (t) => {
      const folder = new DaemonFolder(t)
      const yaml = [
        `threads: ${threads}`,
        "listeners: [{ address: '127.0.0.1:0' }]",
        `upstreams: { app: { backends: [{ address: '${NOWHERE}' }] } }`,
      ].join('\n')
      const run = folder.start(yaml, { nodeFlags: [ANY_PORT] })
      assert.equal(await run.launched, 0, run.output)
      const port = Number((await folder.listening()).split(':')[1])
      for (const turn of [1, 2]) {
        const old = `${folder.log}.${turn}`
        renameSync(folder.log, old)
        process.kill(folder.pid(), 'SIGUSR1')
        await folder.logged(/log file opened anew/)
        // One line of a worker, or of the main thread that serves.
        await once(get({ host: '127.0.0.1', port, agent: false }), 'response')
        await folder.logged(/request failed/)
        assert.deepEqual(listeningPorts(folder.pid()), [port])
        for (const log of [old, folder.log])
          assert.doesNotMatch(readFileSync(log, 'utf8'), DEBUGGER)
      }
    })
  }

  // Older versions of Node have no way to keep the signal from the debugger so early.
  if (process.allowedNodeEnvironmentFlags.has('--disable-sigusr1')) {
    test('waits when it comes before a daemon handles it', async (t) => {
      const folder = new DaemonFolder(t)
      const run = folder.start('', {
        program: './daemon-program.js',
        nodeFlags: [ANY_PORT],
        env: { DAEMON_PROGRAM: 'early' },
      })
      assert.equal(await run.launched, 0, run.output)
      await folder.logged(/log file opened anew/)
      assert.deepEqual(listeningPorts(folder.pid()), [])
      assert.doesNotMatch(readFileSync(folder.log, 'utf8'), DEBUGGER)
      assert.match(readProc(folder.pid(), 'status'), /^SigBlk:\t0+$/m)
    })
  }
})
