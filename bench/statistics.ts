/** The figures that measurements are reduced to. */

/** The middle value; of an even count, the mean of the two in the middle. NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

type Figures = readonly (number | undefined)[]

/**
 * The median of each round's `own` figure divided by `other`'s of the same round: a machine that is
 * slow for a while is slow for both. Undefined when no round has both.
 */
export function medianRatio(own: Figures, other: Figures): number | undefined {
  const ratios: number[] = []
  own.forEach((figure, round) => {
    const theirs = other[round]
    if (figure !== undefined && theirs !== undefined) ratios.push(figure / theirs)
  })
  return ratios.length > 0 ? median(ratios) : undefined
}

/** Half the distance between the quartiles, as a share of the median: 0.02 reads as "± 2 %". */
export function relativeSpread(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.round((sorted.length - 1) * share)] ?? NaN
  return (at(0.75) - at(0.25)) / 2 / median(values)
}

/** What half of all times and what nearly all stay below; 0 for an empty list. */
export function percentiles(timesMs: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = Float64Array.from(timesMs).sort()
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}
