/**
 * Compiles everything and runs the tests; the last line is `N passed, N failed[, N skipped]`.
 *
 *   node scripts/test.mjs [--with-build] [--with-lint] [--no-interop] [--node PATH] [filter …]
 *
 * A filter is a part of a path, such as `src/http` or `tidy`. With `CI=true` a skipped test fails
 * the run: a machine that should prove everything must not pass by leaving something out.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, buildTests, listFiles, runNode } from './house.mjs'

/** A file that runs longer than this hangs, or left something open that keeps it alive. */
const FILE_TIMEOUT_MS = 180_000

const { values: flags, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    'with-build': { type: 'boolean', default: false },
    'with-lint': { type: 'boolean', default: false },
    'no-interop': { type: 'boolean', default: false },
    node: { type: 'string', default: process.execPath },
  },
})

/** Checks that failed before or around the tests, such as the linter. */
const otherFailures = []

await main()

async function main() {
  if (flags['with-build'] && (await runNode(join(ROOT, 'scripts/build.mjs'))).code !== 0) {
    finish({ passed: 0, failed: ['the build'], skipped: [] })
    return
  }
  const lint = flags['with-lint'] ? startLint() : undefined
  const compiled = await buildTests()
  if (lint) {
    const { code, output } = await lint
    process.stdout.write(output)
    if (code !== 0) otherFailures.push('the linter')
  }
  if (compiled.code !== 0) {
    finish({ passed: 0, failed: ['the compiler'], skipped: [] })
    return
  }
  const files = testFiles()
  if (files.length === 0) {
    finish({ passed: 0, failed: ['there is no test to run'], skipped: [] })
    return
  }
  finish(await runTests(files))
}

/** The linter takes one core and the compiler the other; it needs `dist/` as much as the tests do. */
function startLint() {
  const args = flags['with-build'] ? ['--no-build'] : []
  return runNode(join(ROOT, 'scripts/lint.mjs'), args, { capture: true })
}

/** The compiled test files, derived from the sources: a deleted test cannot live on in `build/`. */
function testFiles() {
  return ['src', 'test', 'examples', 'bench']
    .flatMap((folder) => listFiles(folder, (path) => path.endsWith('.test.ts')))
    .filter((path) => !(flags['no-interop'] && path.startsWith('test/interop/')))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .map((path) => join(ROOT, 'build', path.replace(/\.ts$/, '.js')))
}

async function runTests(files) {
  const scratch = mkdtempSync(join(tmpdir(), 'pingora-ts-test-'))
  const report = join(scratch, 'summary.json')
  try {
    const args = [
      `--test-timeout=${FILE_TIMEOUT_MS}`,
      `--test-concurrency=${Math.min(8, Math.max(2, availableParallelism()))}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(ROOT, 'scripts/test-summary.mjs')}`,
      `--test-reporter-destination=${report}`,
      ...files,
    ]
    // A test of the test runner must not be taken for a child of the runner that started it.
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env
    const { code } = await runNode('--test', args, { node: flags.node, env })
    const result = JSON.parse(readFileSync(report, 'utf8'))
    const failed = result.failed.map(describe)
    if (code !== 0 && failed.length === 0) failed.push(`the test runner ended with ${code}`)
    return { passed: result.passed, failed, skipped: result.skipped.map(describe) }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function describe({ name, file, reason }) {
  const where = file === undefined ? '' : relative(join(ROOT, 'build'), file)
  const why = typeof reason === 'string' && reason !== '' ? ` (${reason})` : ''
  return name === file ? `${where}${why}` : `${where}: ${name}${why}`
}

/** Prints what needs attention and, as the very last line, the counts; sets the exit code. */
function finish({ passed, failed, skipped }) {
  const allFailed = [...otherFailures, ...failed]
  for (const line of skipped) console.log(`skipped  ${line}`)
  if (process.env['CI'] === 'true' && skipped.length > 0) {
    console.log('Skipped tests count as failures because CI=true.')
    allFailed.push(...skipped)
    skipped = []
  }
  for (const line of allFailed) console.log(`failed   ${line}`)
  if (passed === 0 && allFailed.length === 0) allFailed.push('no test ran')
  const skippedText = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
  console.log(`${passed} passed, ${allFailed.length} failed${skippedText}`)
  process.exitCode = allFailed.length === 0 ? 0 : 1
}
