/** The order in which backends take turns: weights laid out as evenly as they can be. Pure. */

/** The most turns that one cycle may have. */
export const MAX_SLOTS = 65_535

/** One cycle of turns over some of the backends. */
export interface WeightedSchedule {
  /** Indexes of backends, one per turn; each as often as its weight says. */
  readonly slots: Uint16Array
  /** The same indexes, each once, in ascending order. */
  readonly members: readonly number[]
}

/**
 * Lays out one cycle. Weights are first divided by what they have in common. The turns of one
 * backend are evenly spaced, and backends of equal weight share the gaps between them, so weights
 * 3, 1, 1 give `a b a c a`, not `a a a b c`. Equal weights give the order of `members`.
 * O(t log t) for t turns.
 * @param members indexes in ascending order; each below 65535.
 * @param weights by index; the scaled weights of the members must add up to at most {@link MAX_SLOTS}.
 */
export function weightedSchedule(
  members: readonly number[],
  weights: ArrayLike<number>,
): WeightedSchedule {
  const turns = scaledWeights(members.map((index) => weights[index]!))
  const phases = staggeredPhases(turns)
  const keys = new Float64Array(turns.reduce((sum, count) => sum + count, 0))
  let filled = 0
  for (const [member, index] of members.entries()) {
    const count = turns[member]!
    for (let turn = 0; turn < count; turn++) {
      // Where the turn lies in the cycle, from 0 to 1; in the low 16 bits whose it is. The sum is
      // an integer below 2^53, so one plain sort orders turns by place, then by index.
      const place = (turn + phases[member]!) / count
      keys[filled++] = Math.floor(place * PLACES) * INDEXES + index
    }
  }
  keys.sort()
  return { slots: Uint16Array.from(keys, (key) => key % INDEXES), members }
}

/** The weights divided by their greatest common divisor. */
export function scaledWeights(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0)
  return weights.map((weight) => weight / divisor)
}

/** Where in its first gap each member's first turn lies: spread out among those of equal weight. */
function staggeredPhases(turns: readonly number[]): number[] {
  const equals = new Map<number, number>()
  for (const count of turns) equals.set(count, (equals.get(count) ?? 0) + 1)
  const placed = new Map<number, number>()
  return turns.map((count) => {
    const order = placed.get(count) ?? 0
    placed.set(count, order + 1)
    return (order + 0.5) / equals.get(count)!
  })
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

const PLACES: number = 2 ** 36
const INDEXES: number = 2 ** 16
