/** What every script of the house shares: where things are, how to list them, how to run a tool. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the project, whatever directory a script is started from. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Caches of the tools; outside `dist/`, so that they are never packed, and safe to delete. */
export const CACHE = join(ROOT, 'build', '.cache')

/** Folders that are never source. */
const NOT_SOURCE = new Set(['node_modules', 'dist', 'build', '.git', 'coverage'])

/**
 * Lists the files below `folder` (relative to the root), as sorted paths relative to the root with
 * `/`. A folder that does not exist holds no files.
 */
export function listFiles(folder, keep = () => true) {
  const found = []
  const walk = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) {
        if (!NOT_SOURCE.has(entry.name)) walk(path)
      } else if (entry.isFile()) {
        found.push(relative(ROOT, path).split(sep).join('/'))
      }
    }
  }
  const start = join(ROOT, folder)
  if (existsSync(start)) walk(start)
  return found.filter(keep).sort()
}

/** The path of a tool's JavaScript file in `node_modules`: started with `node`, no shell between. */
export function toolPath(name) {
  const paths = {
    tsc: 'typescript/bin/tsc',
    eslint: 'eslint/bin/eslint.js',
    prettier: 'prettier/bin/prettier.cjs',
  }
  return join(ROOT, 'node_modules', paths[name])
}

/**
 * Runs `command` in the root and resolves to its exit code; a signal counts as 1. With
 * `capture: true` the output is returned instead of shown, so that two tools can run side by side.
 */
export function run(command, args, { capture = false, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = capture ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit']
    const child = spawn(command, args, { cwd: ROOT, stdio, env })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code: code ?? 1, output })
    })
  })
}

/** Runs a Node script, by default with the Node that runs this one. */
export function runNode(script, args = [], { node = process.execPath, ...options } = {}) {
  return run(node, [script, ...args], options)
}

/**
 * Compiles one tsconfig, incrementally. Outputs whose source is gone are removed first; when an
 * output is missing the memory of the last build goes too, because `tsc` trusts it blindly.
 */
export async function compile(project, { sources, outputFor, outDir, isStale, capture = false }) {
  const buildInfo = join(CACHE, `${project}.tsbuildinfo`)
  const expected = new Set(sources.flatMap(outputFor))
  const present = new Set(listOutputs(outDir))
  for (const path of present) {
    if (!expected.has(path) && isStale(path)) rmSync(join(ROOT, path))
  }
  for (const path of expected) {
    if (!present.has(path)) {
      rmSync(buildInfo, { force: true })
      break
    }
  }
  const args = ['-p', project, '--incremental', '--tsBuildInfoFile', buildInfo]
  return runNode(toolPath('tsc'), args, { capture })
}

/** Like {@link listFiles}, but for `dist/` and `build/`, whose names `listFiles` skips on purpose. */
function listOutputs(outDir) {
  const start = join(ROOT, outDir)
  if (!existsSync(start)) return []
  return readdirSync(start, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('build/.cache/'))
}

/** Compiles `src/` to `dist/`, the library and the command. Resolves to the exit code of `tsc`. */
export async function buildLibrary() {
  const sources = listFiles('src', (path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  const { code } = await compile('tsconfig.build.json', {
    sources,
    outDir: 'dist',
    outputFor: (path) => {
      const base = path.replace(/^src\//, 'dist/').replace(/\.ts$/, '')
      return [`${base}.js`, `${base}.d.ts`]
    },
    isStale: () => true,
  })
  return code
}

/** Compiles everything (sources, tests, examples, benchmarks) to `build/`, for the test runner. */
export function buildTests({ capture = false } = {}) {
  const isTs = (path) => path.endsWith('.ts') && !path.endsWith('.d.ts')
  const sources = ['src', 'test', 'examples', 'bench'].flatMap((folder) => listFiles(folder, isTs))
  return compile('tsconfig.json', {
    sources,
    capture,
    outDir: 'build',
    outputFor: (path) => [`build/${path.replace(/\.ts$/, '.js')}`],
    isStale: (path) => /\.js(\.map)?$/.test(path) && !sources.includes(sourceOf(path)),
  })
}

/** The source of a compiled test: `build/test/a.test.js` comes from `test/a.test.ts`. */
function sourceOf(output) {
  return output.replace(/^build\//, '').replace(/\.js(\.map)?$/, '.ts')
}
