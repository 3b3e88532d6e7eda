/** Copies of the compiled code with a bug planted, and a way to run the simulation on them. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { PlantedBug } from './planted-bugs.js'

/** What the simulation said, and how it ended. */
export interface PlantedResult {
  readonly code: number
  readonly output: string
}

/** Plants `bug` in a copy that goes away with the test, and runs at most `seeds` seeds on it. */
export function runWithBug(
  context: Pick<TestContext, 'after'>,
  bug: PlantedBug,
  seeds: number,
): Promise<PlantedResult> {
  // Inside of the build, so that packages are found as they are from there.
  const copy = mkdtempSync(join(BUILD, 'planted-'))
  context.after(() => {
    rmSync(copy, { recursive: true, force: true })
  })
  for (const folder of ['src', 'test/simulation']) {
    cpSync(join(BUILD, folder), join(copy, folder), { recursive: true, filter: isNeeded })
  }
  const file = join(copy, 'src', bug.file)
  const parts = readFileSync(file, 'utf8').split(bug.find)
  if (parts.length !== 2) {
    throw new Error(`${bug.file}: found ${parts.length - 1} times, not once: ${bug.find}`)
  }
  writeFileSync(file, parts.join(bug.replace))
  const main = join(copy, 'test/simulation/main.js')
  return new Promise((resolve) => {
    const args = [main, '--from', String(bug.from), '--seeds', String(seeds)]
    execFile(process.execPath, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, output: stdout + stderr })
    })
  })
}

function isNeeded(path: string): boolean {
  const name = basename(path)
  return !name.endsWith('.map') && !name.endsWith('.test.js')
}

/** This file runs as `build/test/simulation/planted-build.js`. */
const BUILD = fileURLToPath(new URL('../..', import.meta.url))
