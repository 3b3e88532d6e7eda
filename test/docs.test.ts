/** What the README and the guide show is true: programs compile and run, files and commands are accepted. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { REQUEST_LIMITS } from '../src/protocols/index.js'
import { ServerConf } from '../src/server/index.js'
import { DOWNSTREAM_TIMEOUTS } from '../src/session/index.js'
import { PEER_DEFAULTS } from '../src/transport/index.js'
import { testCa } from './helpers/certificates.js'
import { projectRoot } from './helpers/project-root.js'

/** One fenced block of a page. */
interface Block {
  readonly page: string
  readonly line: number
  /** What follows the fence, such as `ts run`. */
  readonly info: string
  readonly text: string
}

const ROOT = projectRoot()
/** Inside the project, so that programs find the package by its own name, as its users do. */
const FOLDER = join(ROOT, 'build', '.cache', 'docs-test')
const COMMAND = join(ROOT, 'dist', 'cli', 'main.js')
const LOOPBACK_ONLY = new URL('./helpers/loopback-only.js', import.meta.url)

const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs/guide')).map((name) => `docs/guide/${name}`),
]
const blocks = pages.filter((page) => page.endsWith('.md')).flatMap(blocksOf)
const programs = blocks.filter(({ info }) => /^ts\b/.test(info))

describe('the documentation', () => {
  before(async () => {
    rmSync(FOLDER, { recursive: true, force: true })
    mkdirSync(FOLDER, { recursive: true })
    const ca = await testCa()
    writeFileSync(join(FOLDER, 'ca.crt'), ca.cert)
    const { cert, key } = await ca.issue({ names: ['client.test'] })
    writeFileSync(join(FOLDER, 'client.crt'), cert)
    writeFileSync(join(FOLDER, 'client.key'), key)
  })

  test('shows programs that compile against the package', async () => {
    for (const block of programs)
      writeFileSync(join(FOLDER, `${nameOf(block)}.ts`), programOf(block))
    const compilerOptions = { rootDir: '.', outDir: 'out', sourceMap: false, noUnusedLocals: false }
    const project = {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions,
      include: ['*.ts'],
      exclude: [],
    }
    writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify(project))
    const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const { code, stdout } = await runNode([compiler, '-p', FOLDER])
    assert.equal(code, 0, stdout)
  })

  for (const block of programs.filter(({ info }) => info === 'ts run')) {
    test(`shows what the program at ${block.page}:${block.line} prints`, async () => {
      const expected = blocks[blocks.indexOf(block) + 1]
      assert.equal(expected?.info, 'text', 'the block after it holds the output')
      const program = join(FOLDER, 'out', `${nameOf(block)}.js`)
      const { code, stdout, stderr } = await runNode(['--import', LOOPBACK_ONLY.href, program])
      assert.equal(code, 0, stderr)
      assert.equal(stdout, expected.text, stderr)
    })
  }

  for (const block of blocks.filter(({ info }) => info === 'yaml')) {
    test(`shows a configuration at ${block.page}:${block.line} that is valid`, async () => {
      const file = join(FOLDER, `${nameOf(block)}.yaml`)
      writeFileSync(file, block.text)
      if (!/^upstreams:/m.test(block.text)) {
        assert.deepEqual(ServerConf.load(file).warnings, [])
        return
      }
      const { code, stderr } = await runNode([COMMAND, 'run', '-c', file, '-t'])
      assert.equal(code, 0, stderr)
      assert.doesNotMatch(stderr, /unknown key|no effect/)
    })
  }

  test('shows command lines that the command accepts', async () => {
    const lines = blocks.filter(({ info }) => info === 'sh').flatMap(({ text }) => text.split('\n'))
    const shown = lines.flatMap((line) => /^pingora (proxy [^#]*)/.exec(line)?.[1]?.trim() ?? [])
    assert.ok(shown.length > 0)
    for (const args of new Set(shown)) {
      const { code, stderr } = await runNode([COMMAND, ...args.split(/\s+/), '-t'])
      assert.equal(code, 0, `pingora ${args}\n${stderr}`)
    }
  })

  test('shows the example of the quick start exactly as it is', () => {
    const example = readFileSync(join(ROOT, 'examples/load-balancer.ts'), 'utf8')
    for (const page of ['README.md', 'docs/guide/quick-start.md']) {
      assert.ok(
        programs.some((block) => block.page === page && block.text === example),
        page,
      )
    }
  })

  test('shows the examples of the page on testing exactly as they are', () => {
    // They import one another, so they are compiled and run where they stand: see test-runners.test.ts.
    const folder = join(ROOT, 'examples/testing')
    const examples = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    const shown = blocks.filter(({ info }) => info === 'typescript').map(({ text }) => text)
    const foreign = shown.filter((part) => !examples.some((example) => example.includes(part)))
    const missing = examples.filter((example) => !shown.some((part) => example.includes(part)))
    assert.deepEqual({ foreign, missing }, { foreign: [], missing: [] })
  })

  test('begins with the one command that shows the program at work', () => {
    assert.ok(readFileSync(join(ROOT, 'README.md'), 'utf8').includes('npm ci && npm start'))
  })

  test('maps every hook and every key of the server', () => {
    const page = readFileSync(join(ROOT, 'docs/guide/from-pingora.md'), 'utf8')
    const hooks = readFileSync(join(ROOT, 'src/proxy/proxy-http.ts'), 'utf8').matchAll(
      /^ {2}(\w+)\??\(/gm,
    )
    const keys = readFileSync(join(ROOT, 'src/server/server-keys.ts'), 'utf8').matchAll(
      /^ {4}'?([a-z0-9_]+)'?[:,]/gm,
    )
    const names = [...hooks, ...keys].map(([, name = '']) => name)
    assert.ok(names.length > 40)
    assert.deepEqual(
      names.filter((name) => !page.includes(`\`${name}\``)),
      [],
    )
  })

  test('names for each known attack a test that exists', () => {
    const rows = readFileSync(join(ROOT, 'docs/guide/security.md'), 'utf8')
      .split('\n')
      .filter((line) => /^\| (?!Published|---)/.test(line))
    assert.ok(rows.length > 20)
    for (const row of rows) {
      const [, file, title] = /`((?:test|src)\/[^`]+\.ts)`: "([^"]+)" \|$/.exec(row) ?? []
      assert.ok(file !== undefined && title !== undefined, row)
      const source = readFileSync(join(ROOT, file), 'utf8')
      // As a program writes it: in quotes of its own, be they doubled for an apostrophe.
      assert.ok(
        ["'", '"', '`'].some((quote) => source.includes(quote + title + quote)),
        row,
      )
    }
  })

  test('gives every limit and time-out the default that the code has', () => {
    const rows = readFileSync(join(ROOT, 'docs/guide/timeouts-and-limits.md'), 'utf8').split('\n')
    for (const [name, value] of Object.entries({
      ...REQUEST_LIMITS,
      ...DOWNSTREAM_TIMEOUTS,
      ...PEER_DEFAULTS,
    })) {
      const row = rows.find(
        (line) => line.startsWith('|') && new RegExp(`\\b${name}\\b`).test(line),
      )
      assert.ok(
        row?.includes(`| ${asWritten(name, value)} |`),
        `${name}: ${asWritten(name, value)}`,
      )
    }
  })
})

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```([^\n`]*)\n([^]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    info: match[1] ?? '',
    text: match[2] ?? '',
  }))
}

/** A block that imports nothing goes on where the program before it on its page ends. */
function programOf(block: Block): string {
  if (/^import /m.test(block.text)) return block.text
  const previous = programs[programs.indexOf(block) - 1]
  assert.equal(previous?.page, block.page, `${block.page}:${block.line} goes on from no program`)
  return programOf(previous) + block.text
}

function nameOf({ page, line }: Block): string {
  return `${page.replace(/\.md$/, '').replace(/[^A-Za-z]+/g, '-')}-line-${line}`
}

/** A default as the tables write it. */
function asWritten(name: string, value: number): string {
  if (name.endsWith('Ms')) return `${value / 1_000} s`
  return name.endsWith('Bytes') ? `${value / 1_024} KiB` : String(value)
}

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function runNode(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { cwd: fileURLToPath(new URL('.', import.meta.url)), timeout: MAX_RUN_MS }
    execFile(process.execPath, ['--no-warnings', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

const MAX_RUN_MS = 60_000
