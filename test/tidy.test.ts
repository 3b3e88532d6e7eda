/** The house rules that no compiler and no linter sees, as tests over the files of the project. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ERROR_CODES } from '../src/error/index.js'
import { PROJECT_ROOT } from './house/planted-copy.js'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: unknown
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const scriptUrl = (name: string) => pathToFileURL(join(PROJECT_ROOT, 'scripts', name)).href
const { listFiles } = (await import(scriptUrl('house.mjs'))) as {
  listFiles: (folder: string, keep?: (path: string) => boolean) => string[]
}
const { expectedExports } = (await import(scriptUrl('public-api.mjs'))) as {
  expectedExports: () => unknown
}

const read = (path: string): string => readFileSync(join(PROJECT_ROOT, path), 'utf8')
const readJson = (path: string): unknown => JSON.parse(read(path))

const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.startsWith('test/')
const code = ['src', 'test', 'examples', 'bench', 'scripts'].flatMap((folder) =>
  listFiles(folder, (path) => /\.(ts|mjs)$/.test(path)),
)
const pages = listFiles('.', (path) => path.endsWith('.md'))

/** Fails with every path for which `fault` has something to say. */
function assertNone(paths: readonly string[], fault: (path: string) => string | undefined): void {
  const faults = paths.flatMap((path) => {
    const text = fault(path)
    return text === undefined ? [] : [`${path}: ${text}`]
  })
  assert.deepEqual(faults, [])
}

describe('the package', () => {
  const manifest = readJson('package.json') as Manifest

  test('exports one subpath per part, and nothing else (node scripts/exports.mjs writes it)', () => {
    assert.deepEqual(manifest.exports, expectedExports())
  })

  test('has the parts that its users start from', () => {
    for (const file of ['src/index.ts', 'src/cli/main.ts']) assert.ok(code.includes(file), file)
  })

  test('pins every dependency to one exact version, the same as the lock file', () => {
    const lock = readJson('package-lock.json') as { packages: Record<string, Partial<Manifest>> }
    const { name, version, dependencies, devDependencies } = lock.packages[''] ?? {}
    assert.deepEqual(
      { name, version, dependencies, devDependencies },
      {
        name: manifest.name,
        version: manifest.version,
        dependencies: manifest.dependencies,
        devDependencies: manifest.devDependencies,
      },
    )
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      assert.match(version, /^\d+\.\d+\.\d+$/, name)
    }
  })

  test('has a lock file that names no other registry than the public one', () => {
    assert.doesNotMatch(
      read('package-lock.json'),
      /"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/,
    )
  })
})

describe('the error codes', () => {
  const rows = [
    ...read('docs/reference/errors.md').matchAll(
      /^\| `(PGR_[A-Z0-9_]+)` \| (\d{3}) \| (\S.*) \|$/gm,
    ),
  ]

  test('each have one row in docs/reference/errors.md, with their status', () => {
    const inCode = Object.entries(ERROR_CODES).map(([code, { status }]) => `${code} ${status}`)
    const inDocs = rows.map(([, code, status]) => `${code} ${status}`)
    assert.deepEqual(inDocs.sort(), inCode.sort())
  })

  test('stand in the section of the side that failed', () => {
    const sections = read('docs/reference/errors.md').split(/^## /m)
    for (const [code, { source }] of Object.entries(ERROR_CODES)) {
      const section = sections.find((text) => text.includes(`| \`${code}\` |`))
      assert.equal(section?.split('\n')[0]?.toLowerCase(), source, code)
    }
  })

  test('are all used by the code, and only those', () => {
    const sources = code.filter((path) => path.startsWith('src/') && !isTest(path))
    const isTable = (path: string) => path === 'src/error/codes.ts'
    const named = sources
      .filter((path) => !isTable(path))
      .flatMap((path) => [...read(path).matchAll(/\bPGR_[A-Z0-9_]*[A-Z0-9]\b/g)])
    const used = new Set(named.map(([code]) => code))
    const unknown = [...used].filter((code) => !(code in ERROR_CODES))
    assert.deepEqual(unknown, [], 'named, but not in src/error/codes.ts')
    const unused = Object.keys(ERROR_CODES).filter((code) => !used.has(code))
    assert.deepEqual(unused, [], 'in src/error/codes.ts, but never raised')
  })
})

describe('every file', () => {
  test('of source opens with a sentence that says what it is', () => {
    const opening = /^(?:#!.*\n)?\/\*\*\s+(?:\* )?[A-Za-z`'"0-9][^]*?[.:!?)]\s*(?:\n|\*\/)/
    assertNone(
      code.filter((path) => !path.endsWith('.test.ts')),
      (path) => (opening.test(read(path)) ? undefined : 'no opening sentence'),
    )
  })

  test('stays below its limit of code lines', () => {
    assertNone(code, (path) => {
      const lines = countCodeLines(read(path))
      const limit = isTest(path) ? 600 : 500
      return lines > limit ? `${lines} code lines, at most ${limit}` : undefined
    })
  })

  test('has a kebab-case name that says what is inside', () => {
    const vague = new Set([
      'utils',
      'util',
      'helpers',
      'helper',
      'types',
      'common',
      'misc',
      'shared',
    ])
    assertNone(code, (path) => {
      const name = basename(path).replace(/(\.test|\.spec)?\.(ts|mjs)$/, '')
      if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return 'not kebab-case'
      return vague.has(name) ? 'says nothing about its content' : undefined
    })
  })

  test('is finished: no leftover markers', () => {
    const marker = new RegExp(
      `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`,
    )
    assertNone([...code, ...pages], (path) => marker.exec(read(path))?.[0])
  })

  test('that turns a lint rule off says why, after two dashes', () => {
    const silent =
      /(?:eslint-disable|@ts-expect-error|@ts-ignore|prettier-ignore)\S*(?:(?! -- ).)*$/m
    assertNone(
      code.filter((path) => path !== 'test/tidy.test.ts' && !path.startsWith('test/types/')),
      (path) => {
        const found = read(path).match(new RegExp(silent, 'gm')) ?? []
        return found.find((line) => !line.includes(' -- '))
      },
    )
  })
})

describe('every test', () => {
  test('runs: none is singled out', () => {
    const single = /\b(?:test|it|describe|suite)\.only\(|\bonly: true\b/
    assertNone(code.filter(isTest), (path) => single.exec(read(path))?.[0])
  })
})

describe('every example', () => {
  const examples = listFiles('examples', (path) => path.endsWith('.ts') && !isTest(path))

  test('is compiled with the tests', () => {
    assert.ok(examples.length > 0, 'no examples at all')
    assertNone(examples, (path) => {
      const output = join(PROJECT_ROOT, 'build', path.replace(/\.ts$/, '.js'))
      return existsSync(output) ? undefined : 'not compiled'
    })
  })

  test('is named on a page, so that a reader can find it', () => {
    const text = pages.map(read).join('\n')
    assertNone(examples, (path) => (text.includes(path) ? undefined : 'on no page'))
  })
})

describe('every page', () => {
  test('links only to files and headings that exist', () => {
    assertNone(pages, (page) => {
      const broken = linksOf(read(page)).filter((link) => !resolves(page, link))
      return broken.length > 0 ? broken.join(', ') : undefined
    })
  })

  test('of the project that newcomers look for is there', () => {
    const expected = [
      'README.md',
      'ARCHITECTURE.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'docs/reference/errors.md',
    ]
    assert.deepEqual(
      expected.filter((page) => !pages.includes(page)),
      [],
    )
  })

  test('about the architecture names every part', () => {
    const text = read('ARCHITECTURE.md')
    const parts = new Set(code.flatMap((path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []))
    assert.deepEqual(
      [...parts].filter((part) => !text.includes(`${part}/`)),
      [],
    )
  })
})

/** Lines that are neither blank nor only a comment. */
function countCodeLines(text: string): number {
  let inComment = false
  let count = 0
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (inComment) {
      if (line.includes('*/')) inComment = false
    } else if (line.startsWith('/*')) {
      inComment = !line.includes('*/')
    } else if (line !== '' && !line.startsWith('//')) {
      count += 1
    }
  }
  return count
}

/** Targets of Markdown links outside code, without those that leave the project. */
function linksOf(page: string): string[] {
  const prose = page.replace(/^```[^]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)|^\[[^\]]+\]: (\S+)/gm)]
    .map(([, inline, reference]) => inline ?? reference ?? '')
    .filter((target) => !/^[a-z]+:/.test(target))
}

function resolves(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), path))
  if (target.startsWith('..') || !existsSync(join(PROJECT_ROOT, target))) return false
  return anchor === undefined || !target.endsWith('.md') || headingsOf(read(target)).has(anchor)
}

/** The anchors of a page's headings, as GitHub forms them. */
function headingsOf(page: string): Set<string> {
  const prose = page.replace(/^```[^]*?^```/gm, '')
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+)$/gm)) {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-')
    let anchor = slug
    for (let repeat = 1; anchors.has(anchor); repeat++) anchor = `${slug}-${repeat}`
    anchors.add(anchor)
  }
  return anchors
}
