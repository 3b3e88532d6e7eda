/** The test runner and the build are run on a tiny project: the last line and the exit code must be honest. */
import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { PlantedCopy, type ScriptResult } from './planted-copy.js'

const IMPORT = "import { describe, test } from 'node:test'\n"

function lastLine({ output }: ScriptResult): string | undefined {
  return output.trimEnd().split('\n').at(-1)
}

/** A project whose compilation takes no time: it knows nothing of Node but two functions. */
function plantTests(copy: PlantedCopy): void {
  const compilerOptions = {
    target: 'es2023',
    lib: ['es5'],
    module: 'nodenext',
    types: [],
    sourceMap: true,
    rootDir: '.',
    outDir: 'build',
  }
  copy.plant('tsconfig.json', JSON.stringify({ compilerOptions, include: ['src', 'test'] }))
  const signature = '(name: string, run: () => unknown): void'
  copy.plant(
    'test/node-test.d.ts',
    `declare module 'node:test' {
      export function describe${signature}
      export const test: { ${signature}; skip${signature} }
    }\n`,
  )
  copy.plant('src/index.ts', 'export const answer: number = 42\n')
  copy.plant('test/passes.test.ts', `${IMPORT}describe('a', () => { test('b', () => {}) })\n`)
  copy.plant('test/skips.test.ts', `${IMPORT}describe('c', () => { test.skip('d', () => {}) })\n`)
  copy.plant(
    'test/fails.test.ts',
    `${IMPORT}describe('e', () => { test('f', () => { throw 1 }) })\n`,
  )
  copy.plant('test/empty.test.ts', 'export const nothing = 1\n')
  copy.plant(
    'test/interop/foreign.test.ts',
    `${IMPORT}describe('g', () => { test('h', () => {}) })\n`,
  )
  copy.plant('test/helper.ts', 'export const helper = 1\n')
}

describe('scripts/test.mjs', () => {
  test('counts, names what failed, and ends with an honest line and exit code', async (t) => {
    const copy = new PlantedCopy(t, [])
    plantTests(copy)
    const runTests = (...args: string[]) => copy.run('scripts/test.mjs', args)

    const all = await runTests()
    assert.equal(lastLine(all), '2 passed, 2 failed, 1 skipped')
    assert.match(all.output, /^failed {3}test\/fails\.test\.js: f$/m)
    assert.match(all.output, /^failed {3}test\/empty\.test\.js \(the file holds no test\)$/m)
    assert.equal(all.code, 1)

    const good = await runTests('passes', 'interop')
    assert.equal(lastLine(good), '2 passed, 0 failed')
    assert.equal(good.code, 0)

    const skipping = await runTests('passes', 'skips', 'interop', '--no-interop')
    assert.equal(lastLine(skipping), '1 passed, 0 failed, 1 skipped')
    assert.equal(skipping.code, 0)

    const strict = await copy.run('scripts/test.mjs', ['passes', 'skips'], { CI: 'true' })
    assert.equal(lastLine(strict), '1 passed, 1 failed')
    assert.match(strict.output, /^skipped {2}test\/skips\.test\.js: d$/m)
    assert.equal(strict.code, 1)

    const none = await runTests('no-such-test')
    assert.equal(lastLine(none), '0 passed, 1 failed')
    assert.equal(none.code, 1)
  })

  test('fails when the code does not compile, and forgets a deleted test', async (t) => {
    const copy = new PlantedCopy(t, [])
    plantTests(copy)
    rmSync(join(copy.root, 'test/fails.test.ts'))
    copy.plant('test/wrong.test.ts', `${IMPORT}test(1, 2, 3, 4)\n`)
    const wrong = await copy.run('scripts/test.mjs')
    assert.equal(lastLine(wrong), '0 passed, 1 failed')
    assert.match(wrong.output, /TS\d+/)
    assert.equal(wrong.code, 1)

    rmSync(join(copy.root, 'test/wrong.test.ts'))
    const right = await copy.run('scripts/test.mjs', ['test/'])
    assert.equal(lastLine(right), '2 passed, 1 failed, 1 skipped')
    assert.equal(existsSync(join(copy.root, 'build/test/wrong.test.js')), false)
  })
})

describe('scripts/build.mjs', () => {
  test('removes what has no source any more and writes again what was lost', async (t) => {
    const copy = new PlantedCopy(t, [])
    copy.plant('src/index.ts', 'export const answer: number = 42\n')
    copy.plant('src/gone.ts', 'export const gone: number = 1\n')
    assert.equal((await copy.run('scripts/build.mjs')).code, 0)
    assert.ok(existsSync(join(copy.root, 'dist/gone.js')))

    rmSync(join(copy.root, 'src/gone.ts'))
    rmSync(join(copy.root, 'dist/index.js'))
    assert.equal((await copy.run('scripts/build.mjs')).code, 0)
    assert.equal(existsSync(join(copy.root, 'dist/gone.js')), false)
    assert.equal(existsSync(join(copy.root, 'dist/gone.d.ts')), false)
    assert.ok(existsSync(join(copy.root, 'dist/index.js')))

    copy.plant('src/index.ts', 'export const answer: number = "42"\n')
    assert.equal((await copy.run('scripts/build.mjs')).code, 1)
  })
})
