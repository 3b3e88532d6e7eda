/**
 * Everything that must hold before a change is merged: `npm test`, then the steps below.
 *
 *   node scripts/check.mjs [--after-test]     --after-test leaves out what `npm test` has just done
 *
 * The last line is `N passed, N failed`: the tests and, as one each, the steps.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT, buildLibrary, runNode } from './house.mjs'

/** The steps after the tests, in this order. A new check is one more line here. */
const STEPS = [
  ['layering', 'layering.mjs', []],
  ['types of the package', 'check-types.mjs', []],
  ['documentation', 'check-docs.mjs', []],
  ['npm start', 'smoke.mjs', []],
  ['benchmark smoke', 'bench.mjs', ['--smoke', '--no-build']],
]

const total = { passed: 0, failed: 0, skipped: 0 }

if (process.argv.includes('--after-test')) {
  if ((await buildLibrary()) !== 0) total.failed += 1
} else {
  const last = await runTests()
  const counts = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last)
  total.passed += Number(counts?.[1] ?? 0)
  total.failed += Number(counts?.[2] ?? 1)
  total.skipped += Number(counts?.[3] ?? 0)
}

for (const [name, script, args] of STEPS) {
  console.log(`\n== ${name}`)
  const { code } = await runNode(join(ROOT, 'scripts', script), args)
  if (code === 0) total.passed += 1
  else {
    total.failed += 1
    console.log(`failed   ${name}`)
  }
}

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
process.exitCode = total.failed === 0 ? 0 : 1

/** Runs the suite as `npm test` does, shows it, and resolves to its last line. */
function runTests() {
  return new Promise((resolve) => {
    const args = [join(ROOT, 'scripts/test.mjs'), '--with-build', '--with-lint']
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
    let tail = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      process.stdout.write(text)
      tail = (tail + text).slice(-1_000)
    })
    child.once('close', () => resolve(tail.trimEnd().split('\n').at(-1) ?? ''))
  })
}
