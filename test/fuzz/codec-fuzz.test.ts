/** A short fuzz run of the codec, and all inputs that once failed. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkCodecCase } from './check-codec-case.js'
import { codecFuzzSummary, fuzzCodec } from './codec-fuzz.js'
import { readCorpus } from './corpus.js'
import { Random } from './random.js'

describe('codec fuzz', () => {
  test('every input that once failed passes now', () => {
    for (const { name, text } of readCorpus()) {
      for (let seed = 1; seed <= 50; seed++) {
        assert.doesNotThrow(() => checkCodecCase(text, new Random(seed)), `${name}, seed ${seed}`)
      }
    }
  })

  test('ten seconds of random input find nothing', (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    const lines: string[] = []
    const report = (line: string): unknown => lines.push(line)
    const result = fuzzCodec({ seconds: 10, seed, save: false, report })
    t.diagnostic(codecFuzzSummary(seed, result))
    assert.deepEqual(lines, [], `SEED=${seed} repeats it`)
    assert.ok(result.cases > 100)
  })
})
