import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { PATIENT_UPGRADE } from './patient-upgrade.js'
import { runProgram } from './run-program.js'
import type { Program } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

const START = ['bootstrap', 'bootstrap-complete', 'running']
const END = ['shutdown-started', 'shutdown-grace-period', 'shutdown-runtimes', 'terminated']

describe('the phases of a process', { timeout: 30_000 }, () => {
  test('tell of an upgrade that fails, of one that succeeds, and of a stop', async (t) => {
    const folder = temporaryFolder(t)
    const conf = join(folder, 'conf.yaml')
    writeFileSync(conf, 'upgrade_sock: upgrade.sock\nupgrade_sock_connect_accept_max_retries: 1\n')
    const start = (...flags: string[]): Program =>
      runProgram(t, './phases-program.js', ['-c', conf, ...flags])
    const old = start()
    await old.match(/phase running/)
    old.kill('SIGQUIT')
    await old.match(/upgrade failed, serving on/)
    await old.match(/fds\nphase running/)
    writeFileSync(conf, PATIENT_UPGRADE)
    const next = start('-u')
    await next.match(/waiting for the old process/)
    old.kill('SIGQUIT')
    assert.equal((await old.ended).code, 0)
    const transferring = 'graceful-upgrade-transferring-fds'
    assert.deepEqual(phasesOf(old), [
      ...START,
      transferring,
      'running',
      transferring,
      'graceful-upgrade-close-timeout',
      ...END,
    ])
    next.kill('SIGTERM')
    assert.equal((await next.ended).code, 0)
    assert.deepEqual(phasesOf(next), [...START, 'graceful-terminate', ...END])
  })
})

function phasesOf(program: Program): string[] {
  return [...program.stdout.matchAll(/^phase (.*)$/gm)].map(([, phase = '']) => phase)
}
