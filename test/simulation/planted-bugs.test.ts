import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PLANTED_BUGS } from './planted-bugs.js'
import { runWithBug } from './planted-build.js'

describe('the simulation finds a proxy that', { concurrency: 2 }, () => {
  for (const bug of PLANTED_BUGS) {
    test(bug.name, async (t) => {
      const { code, output } = await runWithBug(t, bug, MAX_SEEDS)
      const [first = ''] = output.split('\n')
      assert.equal(code, 1, output)
      assert.match(first, bug.found)
      t.diagnostic(first)
    })
  }
})

/** Each is found much earlier, from seed 1 on too; the diagnostics say where. */
const MAX_SEEDS = 1_000
