/** Lints: the layering check, ESLint with types, and the formatting. Shows all faults, not the first. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, ROOT, buildLibrary, runNode, toolPath } from './house.mjs'

// Examples and tests import the library by its name, so its types must be in dist/ first.
const isBuilt = process.argv.includes('--no-build') || (await buildLibrary()) === 0

// What ESLint says of a file depends on the types of the packages too.
const lock = createHash('sha256')
  .update(readFileSync(join(ROOT, 'package-lock.json')))
  .digest('hex')
const eslintCache = join(CACHE, `eslint-${lock.slice(0, 16)}.json`)
const prettierCache = join(CACHE, 'prettier.json')

const checks = [
  ['layering', runNode(join(ROOT, 'scripts/layering.mjs'), [], { capture: true })],
  [
    'eslint',
    runNode(
      toolPath('eslint'),
      [
        '.',
        '--max-warnings=0',
        '--cache',
        '--cache-strategy=content',
        '--cache-location',
        eslintCache,
      ],
      { capture: true },
    ),
  ],
  [
    'prettier',
    runNode(
      toolPath('prettier'),
      ['.', '--check', '--log-level=warn', '--cache', '--cache-location', prettierCache],
      { capture: true },
    ),
  ],
]

const failed = isBuilt ? [] : ['build']
for (const [name, check] of checks) {
  const { code, output } = await check
  process.stdout.write(output)
  if (code !== 0) failed.push(name)
}
console.log(failed.length === 0 ? 'lint: no faults' : `lint: faults in ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
