/** Writes `exports` of `package.json` anew; run it after a part was added. A test compares them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './house.mjs'
import { expectedExports } from './public-api.mjs'

const path = join(ROOT, 'package.json')
const manifest = JSON.parse(readFileSync(path, 'utf8'))
manifest.exports = expectedExports()
writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`)
console.log(`exports: ${Object.keys(manifest.exports).join(' ')}`)
