/** The list of micro-benchmarks: a file of cases beside this one is added to `ALL_CASES`. */
import { figure, formatTable } from '../table.js'
import { foldedResults, timeCases } from './harness.js'
import type { MicroFigures } from './harness.js'
import { HTTP1_CASES } from './http1.js'

const ALL_CASES = [...HTTP1_CASES]

export interface MicroReport {
  readonly text: string
  readonly figures: readonly MicroFigures[]
}

/** Runs all micro-benchmarks in this process; some seconds. */
export function runMicroBenchmarks(): MicroReport {
  const figures = timeCases(ALL_CASES)
  const rows = figures.map(({ name, nsPerCall, spread, mibPerSec, samples }) => [
    name,
    figure(nsPerCall, 1),
    `± ${figure(spread * 100, 1)} %`,
    figure(mibPerSec),
    figure(samples),
  ])
  const table = formatTable(['case', 'ns/call', 'spread', 'MiB/s', 'samples'], rows)
  return { text: `${table}\n\n(all results folded: ${foldedResults()})\n`, figures }
}
