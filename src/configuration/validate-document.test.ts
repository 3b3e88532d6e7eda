import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { ProxyError } from '../error/index.js'
import {
  ConfigDocument,
  booleanField,
  choiceField,
  durationField,
  fixedField,
  integerField,
  notYetField,
  secondsField,
  sizeField,
  textField,
  throwProblems,
  validateDocument,
} from './index.js'
import type { ConfigProblem } from './index.js'
import { temporaryFolder } from '../../test/helpers/temporary-folder.js'

const SCHEMA = z.strictObject({
  threads: integerField(1, 64).optional(),
  grace_seconds: secondsField().optional(),
  body: sizeField(1, 1024 ** 2).optional(),
  h2c: fixedField(false).optional(),
  admin: notYetField(),
  balance: choiceField(['round_robin', 'random'], ['peak_ewma']).optional(),
  listeners: z
    .array(z.strictObject({ address: textField('HOST:PORT'), fast: booleanField().optional() }))
    .optional(),
  upstreams: z.record(z.string(), z.strictObject({ every: durationField(1) })).optional(),
})

function load(text: string): unknown {
  const document = new ConfigDocument(text, 'c.yaml')
  const problems: ConfigProblem[] = []
  const value = validateDocument(document, SCHEMA, problems)
  throwProblems(problems)
  return value
}

function messageOf(text: string): string {
  try {
    load(text)
  } catch (thrown) {
    assert.ok(thrown instanceof ProxyError)
    assert.equal(thrown.code, 'PGR_CONFIGURATION_INVALID')
    return thrown.message
  }
  return 'ok'
}

/** Text of a file, and the whole message that it must give. */
const GOLDEN: readonly (readonly [string, string])[] = [
  ['', 'ok'],
  ['---\nthreads: 2\n', 'ok'],
  ['threads: 0', 'c.yaml:1:10: threads: got 0; expected an integer from 1 to 64'],
  ['threads: .nan', 'c.yaml:1:10: threads: got NaN; expected an integer from 1 to 64'],
  ['threads:\n', 'c.yaml:1:9: threads: got nothing; expected an integer from 1 to 64'],
  ['\nthraeds: 2', 'c.yaml:2:1: thraeds: unknown key; did you mean threads?'],
  [
    'listeners:\n  - adress: x\n',
    'c.yaml:2:5: listeners[0].address: missing; expected HOST:PORT\nc.yaml:2:5: listeners[0].adress: unknown key; did you mean address?',
  ],
  [
    'listeners:\n  - { address: a, zzz: 1 }',
    'c.yaml:2:19: listeners[0].zzz: unknown key; known are address, fast',
  ],
  ['listeners: 5', 'c.yaml:1:12: listeners: got 5; expected a list'],
  ['listeners: [5]', 'c.yaml:1:13: listeners[0]: got 5; expected a mapping'],
  ['listeners: [{ address: 5 }]', 'c.yaml:1:24: listeners[0].address: got 5; expected HOST:PORT'],
  [
    'listeners: [{ address: a, fast: yes }]',
    'c.yaml:1:33: listeners[0].fast: got "yes"; expected true or false',
  ],
  [
    'upstreams: { "a b": { every: 5 } }',
    'c.yaml:1:30: upstreams."a b".every: got 5; expected a duration with its unit of at least 1ms, such as 1s, 500ms or 2m',
  ],
  [
    'upstreams: { a: {} }',
    'c.yaml:1:17: upstreams.a.every: missing; expected a duration with its unit of at least 1ms, such as 1s, 500ms or 2m',
  ],
  ['upstreams: { a: }', 'c.yaml:1:17: upstreams.a: got nothing; expected a mapping'],
  [
    'balance: peak_ewma',
    'c.yaml:1:10: balance: "peak_ewma": not available yet; expected one of round_robin, random',
  ],
  ['balance: rr', 'c.yaml:1:10: balance: got "rr"; expected one of round_robin, random'],
  ['h2c: true', 'c.yaml:1:6: h2c: true: not available yet; expected false'],
  ['admin: { address: 127.0.0.1:1 }', 'c.yaml:1:8: admin: not available yet; leave it out'],
  [
    'grace_seconds: -1',
    'c.yaml:1:16: grace_seconds: got -1; expected seconds as a number from 0, or a duration such as 30s',
  ],
  [
    'body: 1parsec',
    'c.yaml:1:7: body: got "1parsec"; expected a size from 1b to 1mb, such as 64kb or a number of bytes',
  ],
  ['- a\n- b', 'c.yaml:1:1: got a list; expected a mapping of keys'],
  ['just text', 'c.yaml:1:1: got "just text"; expected a mapping of keys'],
  ['threads: 1\nthreads: 2', 'c.yaml:2:1: Map keys must be unique'],
  [
    'a: &a { b: 1 }\nthreads: *a',
    'c.yaml:1:1: a: unknown key; known are threads, grace_seconds, body, h2c, admin, balance, listeners, upstreams\nc.yaml:2:10: threads: got a mapping; expected an integer from 1 to 64',
  ],
]

describe('configuration', () => {
  for (const [text, expected] of GOLDEN) {
    test(`answers ${JSON.stringify(text)} with the place and what would be right`, () => {
      assert.equal(messageOf(text), expected)
    })
  }

  test('reads units into the unit of the name', () => {
    const text = 'grace_seconds: 1m\nbody: 64kb\nupstreams: { a: { every: 1.5s } }\nbalance: random'
    assert.deepEqual(load(text), {
      grace_seconds: 60,
      body: 65_536,
      upstreams: { a: { every: 1_500 } },
      balance: 'random',
    })
  })

  test('reports syntax errors with their place', () => {
    assert.match(messageOf('listeners: [\n  {a: 1\n'), /^c\.yaml:\d+:\d+: /)
    assert.match(messageOf('a: b: c'), /^c\.yaml:1:\d+: /)
    assert.match(messageOf('threads: 1\n---\nthreads: 2'), /^c\.yaml:\d+:\d+: .*multiple documents/)
  })

  test('shows at most 20 problems and counts the rest', () => {
    const keys = Array.from({ length: 50 }, (_, index) => `unknownkey${index}: 1`)
    const lines = messageOf(keys.join('\n')).split('\n')
    assert.equal(lines.length, 21)
    assert.equal(lines[20], '… and 30 more')
  })

  test('refuses files that nest or multiply without end', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (const [index, name] of [...'bcdefghi'].entries()) {
      const before = 'abcdefghi'[index]
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(',')}]`)
    }
    assert.match(messageOf(bomb.join('\n')), /^c\.yaml:1:1: .*alias/)
    assert.match(messageOf('['.repeat(100_000)), /^c\.yaml:\d+:\d+: /)
    assert.match(messageOf('x'.repeat(1024 * 1024 + 1)), /larger than 1 MiB/)
  })

  test('keeps keys that JavaScript gives a meaning as plain data', () => {
    assert.match(messageOf('__proto__: { threads: 1 }\nconstructor: 2'), /unknown key/)
  })

  test('says why a file cannot be read', (t) => {
    const directory = temporaryFolder(t)
    const refused = (path: string, expected: RegExp): void => {
      assert.throws(
        () => ConfigDocument.load(path),
        (error) => {
          assert.ok(error instanceof ProxyError)
          assert.equal(error.code, 'PGR_CONFIGURATION_INVALID')
          assert.match(error.message, expected)
          return true
        },
      )
    }
    refused(join(directory, 'no.yaml'), /no\.yaml: cannot be read: no such file$/)
    refused(directory, /cannot be read: it is a directory$/)
    writeFileSync(join(directory, 'latin.yaml'), Buffer.from([0x61, 0x3a, 0x20, 0xe9]))
    refused(join(directory, 'latin.yaml'), /not UTF-8 text$/)
    refused('/dev/zero', /larger than 1 MiB/)
  })
})
