/** The layering check is itself checked: each kind of fault is planted in a copy and must be found. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { PlantedCopy } from './planted-copy.js'

interface Plant {
  readonly fault: string
  readonly files: Readonly<Record<string, string>>
  readonly says: RegExp
}

const PLANTS: readonly Plant[] = [
  {
    fault: 'an upward import',
    files: { 'src/error/planted.ts': "import '../time/index.js'\n" },
    says: /src\/error\/planted\.ts:1: upward: error \(floor 0\) imports time \(floor 1\)/,
  },
  {
    fault: 'an upward import of a type only',
    files: { 'src/error/planted-type.ts': "export type { Clock } from '../time/index.js'\n" },
    says: /planted-type\.ts:1: upward: /,
  },
  {
    fault: 'an upward import inside a type',
    files: {
      'src/error/planted-inline.ts': "\nexport type C = import('../time/index.js').Clock\n",
    },
    says: /planted-inline\.ts:2: upward: /,
  },
  {
    fault: 'a sideways import',
    files: {
      'src/limits/planted.ts': "import type {} from '../http/index.js'\n",
    },
    says: /src\/limits\/planted\.ts:1: sideways: limits \(floor 2\) imports http \(floor 2\)/,
  },
  {
    fault: 'an import of another part past its door',
    files: { 'src/http/planted.ts': "import '../error/codes.js'\n" },
    says: /around the door: only index\.ts or internal\.ts of error may be imported/,
  },
  {
    fault: 'a cycle of types between files of one part',
    files: {
      'src/http/planted-a.ts': "export type { B } from './planted-b.js'\n",
      'src/http/planted-b.ts': "import type { A } from './planted-c.js'\n",
      'src/http/planted-c.ts': "import { type C } from './planted-a.js'\n",
    },
    says: /cycle: src\/http\/planted-a\.ts → src\/http\/planted-b\.ts → src\/http\/planted-c\.ts → src\/http\/planted-a\.ts/,
  },
  {
    fault: 'a part without a floor',
    files: { 'src/planted/index.ts': 'export {}\n' },
    says: /src\/planted: no floor/,
  },
  {
    fault: 'a socket in a pure part',
    files: { 'src/protocols/planted.ts': "import { connect } from 'node:net'\n" },
    says: /protocols is pure: it must not import node:net/,
  },
  {
    fault: 'a second part that knows HTTP/2 sessions',
    files: { 'src/proxy/planted.ts': "import { connect } from 'node:http2'\n" },
    says: /only session may import node:http2/,
  },
  {
    fault: 'an import of the package by its own name',
    files: { 'src/cli/planted.ts': "import { Server } from 'pingora-ts'\n" },
    says: /sources import each other by path, not as pingora-ts/,
  },
  {
    fault: 'an import of a file that does not exist',
    files: { 'src/http/planted-gone.ts': "import './gone.js'\n" },
    says: /src\/http\/planted-gone\.ts:1: no such file: \.\/gone\.js/,
  },
]

describe('the layering check', () => {
  test('finds no fault in the project itself', async (t) => {
    const { code, output } = await new PlantedCopy(t, ['src']).run('scripts/layering.mjs')
    assert.equal(code, 0, output)
  })

  test('finds every planted fault, and lets tests import whatever they need', async (t) => {
    // One run for all plants: most of its time goes into starting.
    const copy = new PlantedCopy(t, ['src'])
    for (const [path, text] of PLANTS.flatMap(({ files }) => Object.entries(files))) {
      assert.ok(!existsSync(join(copy.root, path)), `${path} is planted twice`)
      copy.plant(path, text)
    }
    copy.plant('src/error/planted.test.ts', "import '../time/real-clock.js'\n")
    const { code, output } = await copy.run('scripts/layering.mjs')
    for (const { fault, says } of PLANTS) assert.match(output, says, fault)
    assert.doesNotMatch(output, /planted\.test\.ts/)
    assert.equal(code, 1)
  })

  test('fails when there is nothing to check', async (t) => {
    const { code } = await new PlantedCopy(t, []).run('scripts/layering.mjs')
    assert.equal(code, 1)
  })
})

describe('the linter', () => {
  const work = 'export const work = async (): Promise<number> => await Promise.resolve(1)\n'
  const plants: readonly (readonly [line: string, says: RegExp])[] = [
    ['await work()', /^$/],
    ['work()', /no-floating-promises/],
    ['Array.of(1).forEach(async () => { await work() })', /no-misused-promises/],
    ['export const at = Date.now()', /only src\/time touches clocks and timers/],
    ['export const date = new Date()', /only src\/time touches clocks and timers/],
    ['setTimeout(() => undefined, 1)', /only src\/time touches clocks and timers/],
    ["import 'node:timers/promises'", /only src\/time touches clocks and timers/],
    ["export const path = process.env['PATH']", /only src\/cli and src\/server touch the process/],
    ['export default 1', /no-restricted-exports/],
  ]

  test('finds floating promises, clocks, the process and default exports', async (t) => {
    const copy = new PlantedCopy(t, [])
    const name = (index: number) => `src/http/planted-${String(index)}-end.ts`
    for (const [index, [line]] of plants.entries()) copy.plant(name(index), `${work}${line}\n`)
    const eslint = 'node_modules/eslint/bin/eslint.js'
    const { output } = await copy.run(eslint, ['src', '--format', 'json'])
    const files = JSON.parse(output) as readonly {
      filePath: string
      messages: readonly { ruleId: string | null; message: string; line: number }[]
    }[]
    for (const [index, [line, says]] of plants.entries()) {
      const file = files.find(({ filePath }) => filePath.endsWith(name(index)))
      const found = file?.messages.filter((message) => message.line === 2) ?? []
      assert.match(
        found.map((entry) => `${entry.ruleId ?? ''}: ${entry.message}`).join(),
        says,
        line,
      )
    }
  })
})
