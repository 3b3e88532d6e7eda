/** Builds, then runs the demo in this same process, so that Ctrl-C reaches it and nothing else. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './house.mjs'

await import('./build.mjs')

if (!process.exitCode) {
  const command = join(ROOT, 'dist', 'cli', 'main.js')
  process.argv = [process.execPath, command, 'demo', ...process.argv.slice(2)]
  await import(pathToFileURL(command).href)
}
