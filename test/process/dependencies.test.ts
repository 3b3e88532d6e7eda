import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { RawClient } from '../helpers/raw-client.js'
import { runProgram } from './run-program.js'
import type { Program } from './run-program.js'
import { temporaryFolder } from '../helpers/temporary-folder.js'

describe('services that depend on each other, with threads', { timeout: 60_000 }, () => {
  test('start and stop in their order, in the main thread and in every worker', async (t) => {
    const folder = temporaryFolder(t)
    const conf = join(folder, 'conf.yaml')
    writeFileSync(conf, 'threads: 2\n')
    const program = runProgram(t, './dependencies-program.js', ['-c', conf])
    await program.match(/workers waits for tokens/)
    assert.doesNotMatch(program.stderr, /worker=|listening/)
    program.kill('SIGUSR2')
    const client = await RawClient.connect(Number((await program.listening()).split(':')[1]))
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.until('an answer', () => client.text.endsWith('hello'))
    const started = linesOf(program)
    for (const worker of [1, 2]) {
      const own = started.filter((line) => line.endsWith(`worker=${worker}`))
      assert.deepEqual(own, [`store starts worker=${worker}`, `cache starts worker=${worker}`])
    }
    program.kill('SIGTERM')
    assert.deepEqual(await program.ended, { code: 0, signal: null })
    client.destroy()
    const stopped = linesOf(program).slice(started.length)
    for (const worker of [1, 2]) {
      const own = stopped.filter((line) => line.endsWith(`worker=${worker}`))
      assert.deepEqual(own, [`cache stops worker=${worker}`, `store stops worker=${worker}`])
    }
    assert.equal(stopped.at(-1), 'tokens end')
  })
})

/** What the services have said, and in which thread. */
function linesOf(program: Program): string[] {
  const lines = program.stderr.matchAll(/(?:store|cache|tokens) (?:starts?|stops|are|ends?).*$/gm)
  return [...lines].map(([line]) => line)
}
