/** Compiles what changed (`--no-build`: nothing) and runs the benchmark in this process. */
import { buildLibrary, buildTests } from './house.mjs'

const args = process.argv.slice(2)
const options = args.filter((arg) => arg !== '--no-build')
const builds = options.length === args.length ? [buildLibrary, buildTests] : []

let code = 0
for (const build of builds) {
  // The two builds resolve to an exit code or to a result with one.
  const result = await build()
  code ||= typeof result === 'number' ? result : result.code
}
if (code === 0) {
  try {
    const { main } = await import('../build/bench/run.js')
    code = await main(options)
  } catch (error) {
    // Wrong options and missing files need their text only; anything else is a fault of ours.
    console.error(error.code === undefined ? error : error.message)
    code = 1
  }
}
process.exitCode = code
