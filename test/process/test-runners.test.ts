/** The examples of the page on testing, run as their users run them: by node:test and by vitest. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { projectRoot } from '../helpers/project-root.js'

const ROOT = projectRoot()
const MAX_RUN_MS = 60_000

describe('a test in a fake world', () => {
  test('runs under node:test', async () => {
    const compiled = fileURLToPath(new URL('../../examples/testing/lb.test.js', import.meta.url))
    const output = await run(['--test', '--test-reporter=tap', compiled])
    assert.match(output, /^# pass 1$/m)
    assert.match(output, /^# fail 0$/m)
  })

  test('runs under vitest, from TypeScript and without a configuration', async () => {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const output = await run([vitest, 'run', '--reporter=json', 'examples/testing/lb.spec.ts'])
    const { numTotalTests, numPassedTests } = JSON.parse(output) as Record<string, unknown>
    assert.deepEqual([numTotalTests, numPassedTests], [1, 1])
  })
})

/** What a program run by this Node writes to stdout; rejects when it fails. */
function run(args: readonly string[]): Promise<string> {
  // It must not be taken for a child of the runner that runs this file.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  return new Promise((resolve, reject) => {
    const options = { cwd: ROOT, env, timeout: MAX_RUN_MS }
    execFile(process.execPath, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`))
    })
  })
}
