/**
 * Type-checks the package as a strict user sees it: every subpath from an ES module, the facade from
 * CommonJS, with the declaration files themselves checked too (`skipLibCheck: false`).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, runNode, toolPath } from './house.mjs'
import { publicSpecifiers } from './public-api.mjs'

const folder = join(CACHE, 'types')
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })

const specifiers = publicSpecifiers()
const imports = specifiers.map((name, index) => `import * as part${index} from '${name}'`)
const uses = specifiers.map((_, index) => `void part${index}`)
writeFileSync(join(folder, 'module.mts'), [...imports, ...uses, ''].join('\n'))
writeFileSync(join(folder, 'common.cts'), "import facade = require('pingora-ts')\nvoid facade\n")
writeFileSync(
  join(folder, 'tsconfig.json'),
  JSON.stringify({
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    },
    files: ['module.mts', 'common.cts'],
  }),
)

const { code } = await runNode(toolPath('tsc'), ['-p', folder])
console.log(`types: ${specifiers.length} subpaths ${code === 0 ? 'are fine' : 'with faults'}`)
process.exitCode = code
