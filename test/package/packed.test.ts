/** What users get: the package is packed, unpacked into a project of its own, and used from there. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { PROJECT_ROOT } from '../house/planted-copy.js'

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, string | { types: string; default: string }>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as Manifest
const subpaths = Object.keys(manifest.exports).filter((path) => path !== './package.json')
const specifiers = subpaths.map((path) => path.replace(/^\./, 'pingora-ts'))

describe('the packed package', () => {
  let consumer = ''
  let packed: readonly string[] = []

  before(() => {
    consumer = mkdtempSync(join(tmpdir(), 'pingora-ts-packed-'))
    packed = install(consumer)
  })
  after(() => {
    rmSync(consumer, { recursive: true, force: true })
  })

  /** Runs one file of the consuming project; warnings of Node about its own features are dropped. */
  function runFile(name: string, text: string): string {
    writeFileSync(join(consumer, name), text)
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', name], {
      cwd: consumer,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    return stdout
  }

  test('holds the compiled code, its types and the texts, and nothing else', () => {
    const foreign = packed.filter(
      (path) =>
        !/^dist\/[a-z0-9/-]+(\.d\.ts|\.js)$/.test(path) &&
        !/^(README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(path),
    )
    assert.deepEqual(foreign, [])
    for (const path of ['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/cli/main.js']) {
      assert.ok(packed.includes(path), path)
    }
    assert.deepEqual(
      packed.filter((path) => path.includes('.test.')),
      [],
    )
  })

  test('offers every subpath to import, with its types', () => {
    const lines = specifiers.map(
      (name) => `console.log(Object.keys(await import('${name}')).length)`,
    )
    const counts = runFile('all.mjs', lines.join('\n')).trim().split('\n')
    assert.equal(counts.length, specifiers.length)
    for (const path of subpaths) {
      const target = manifest.exports[path]
      assert.ok(typeof target === 'object')
      assert.ok(packed.includes(target.types.slice(2)), target.types)
      assert.ok(packed.includes(target.default.slice(2)), target.default)
    }
  })

  test('can be required from CommonJS, facade and parts', () => {
    const lines = specifiers.map((name) => `console.log(typeof require('${name}'))`)
    assert.deepEqual(
      new Set(runFile('all.cjs', lines.join('\n')).trim().split('\n')),
      new Set(['object']),
    )
  })

  test('keeps everything else to itself', () => {
    const text = `
      import('pingora-ts/dist/index.js').then(
        () => console.log('reachable'),
        (error) => console.log(error.code),
      )`
    assert.equal(runFile('inside.mjs', text).trim(), 'ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  test('exports from the facade what the quick start imports', () => {
    const names =
      'HttpPeer, LoadBalancer, Opt, Server, TcpHealthCheck, backgroundService, httpProxyService'
    const text = `import { ${names} } from 'pingora-ts'\nconsole.log(typeof Server)`
    assert.equal(runFile('quick-start.mjs', text).trim(), 'function')
  })

  test('brings a command pingora that knows its version', () => {
    const command = join(consumer, 'node_modules/.bin/pingora')
    accessSync(command, constants.X_OK)
    // The path of the Node that runs the tests goes first, as the command finds Node through `env`.
    const env = {
      ...process.env,
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    }
    const output = execFileSync(command, ['--version'], { cwd: consumer, encoding: 'utf8', env })
    assert.match(output, new RegExp(`\\b${manifest.version.replaceAll('.', '\\.')}\\b`))
  })
})

/**
 * Packs the project with npm and installs the tarball by hand, as npm would: the dependencies are
 * links to ours, because a test must not need the network. Returns the paths in the tarball.
 */
function install(consumer: string): readonly string[] {
  const npmEnv = { ...process.env, npm_config_loglevel: 'error' }
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', consumer]
  const json = execFileSync('npm', args, { cwd: PROJECT_ROOT, encoding: 'utf8', env: npmEnv })
  const parsed = JSON.parse(json) as unknown
  // npm prints a list of packages, and its newer versions an object by name.
  const entries = Object.values(parsed as object) as {
    filename: string
    files: { path: string }[]
  }[]
  const [entry] = entries
  assert.ok(entry)

  const home = join(consumer, 'node_modules', 'pingora-ts')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['-xzf', join(consumer, entry.filename), '-C', home, '--strip-components=1'])
  writeFileSync(join(consumer, 'package.json'), '{ "private": true }\n')

  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(consumer, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(realpathSync(join(PROJECT_ROOT, 'node_modules', name)), link, 'dir')
  }
  mkdirSync(join(consumer, 'node_modules/.bin'))
  for (const [name, target] of Object.entries(manifest.bin)) {
    chmodSync(join(home, target), 0o755) // npm does this on every install.
    symlinkSync(join(home, target), join(consumer, 'node_modules/.bin', name))
  }
  return entry.files.map(({ path }) => path)
}
