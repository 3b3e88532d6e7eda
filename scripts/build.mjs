/** Compiles `src/` to `dist/`: the library, its types and the `pingora` command. */
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, buildLibrary } from './house.mjs'

const code = await buildLibrary()

const command = join(ROOT, 'dist', 'cli', 'main.js')
if (existsSync(command)) chmodSync(command, 0o755)

process.exitCode = code === 0 ? 0 : 1
