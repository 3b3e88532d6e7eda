import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { selectorFor, testSelection } from '../../../test/helpers/contracts/selection.js'
import { Random } from './random.js'

testSelection(new Random())

describe('Random', () => {
  test('picks by weight', () => {
    const { selector } = selectorFor(new Random(), [1, 2, 5])
    assertShares(() => selector.next(''), [1 / 8, 2 / 8, 5 / 8])
  })

  test('offers by weight, to the first and to the next', () => {
    const { selector } = selectorFor(new Random(), [1, 2, 5])
    assertShares(() => selector.search('', 256, () => true), [1 / 8, 2 / 8, 5 / 8])
    // With the third refused, its share falls to the others by their weights.
    assertShares(() => selector.search('', 256, (index) => index !== 2), [1 / 3, 2 / 3, 0])
  })

  /** The chance is a fixed sequence, so this holds at every run or at none. */
  function assertShares(pick: () => number, shares: readonly number[]): void {
    const picks = 20_000
    const found = shares.map(() => 0)
    for (let done = 0; done < picks; done++) found[pick()]! += 1
    for (const [index, share] of shares.entries()) {
      assert.ok(Math.abs(found[index]! / picks - share) < 0.02, `${index}: ${found[index]}`)
    }
  }
})
