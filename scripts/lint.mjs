/** Lints: the layering check, ESLint with types, and the formatting. Shows all faults, not the first. */
import { join } from 'node:path'
import { CACHE, ROOT, buildLibrary, runNode, toolPath } from './house.mjs'

// Examples and tests import the library by its name, so its types must be in dist/ first.
const isBuilt = process.argv.includes('--no-build') || (await buildLibrary()) === 0

const eslintCache = join(CACHE, 'eslint.json')
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
