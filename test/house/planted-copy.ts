/** Temporary copies of the project in which a test may plant faults, and a way to run scripts there. */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The root of the project; this file runs as `build/test/house/planted-copy.js`. */
export const PROJECT_ROOT: string = fileURLToPath(new URL('../../..', import.meta.url))

/** What a script printed, on both streams, and its exit code. */
export interface ScriptResult {
  readonly code: number
  readonly output: string
}

/** A copy of the project that goes away with the test. */
export class PlantedCopy {
  readonly root: string

  /** @param content what to copy besides the scripts and settings: `['src']`, or nothing. */
  constructor(context: Pick<TestContext, 'after'>, content: readonly string[]) {
    this.root = mkdtempSync(join(tmpdir(), 'pingora-ts-planted-'))
    context.after(() => {
      rmSync(this.root, { recursive: true, force: true })
    })
    const settings = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'eslint.config.js']
    for (const name of ['scripts', ...settings, ...content]) {
      cpSync(join(PROJECT_ROOT, name), join(this.root, name), { recursive: true })
    }
    symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(this.root, 'node_modules'), 'dir')
  }

  /** Writes one file of the copy, over an existing one if there is one. */
  plant(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true })
    writeFileSync(join(this.root, path), text)
  }

  /** Runs a Node script of the copy, without a CI's strictness unless `env` asks for it. */
  run(
    script: string,
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<ScriptResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(this.root, script), ...args], {
        cwd: this.root,
        env: { ...process.env, CI: undefined, FORCE_COLOR: '0', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      const collect = (text: string) => (output += text)
      child.stdout.setEncoding('utf8').on('data', collect)
      child.stderr.setEncoding('utf8').on('data', collect)
      child.once('error', reject)
      child.once('close', (code) => {
        resolve({ code: code ?? 1, output })
      })
    })
  }
}
