/** A small harness for micro-benchmarks: warm-up, many samples in turn, median and spread. */
import { median, relativeSpread } from '../statistics.js'

/** One thing to time. */
export interface MicroCase {
  /** What is done once per call, such as `parse a request head of 10 fields`. */
  readonly name: string
  /** Bytes worked on per call, when a throughput says something. */
  readonly bytes?: number
  /**
   * Does the work once and returns something that depends on all of it. The harness folds every
   * result into one number, so that the compiler cannot drop the work as unused.
   */
  readonly run: () => unknown
}

export interface MicroFigures {
  readonly name: string
  /** Median over the samples. */
  readonly nsPerCall: number
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number
  /** Median throughput, where the case says how many bytes a call works on. */
  readonly mibPerSec: number | undefined
  readonly samples: number
}

/**
 * Times all cases. Samples go round and round over the cases, not case after case, so that a
 * machine that slows down slows all of them. Takes about half a second a case.
 */
export function timeCases(cases: readonly MicroCase[]): readonly MicroFigures[] {
  const entries = cases.map((one) => ({ one, calls: warmUp(one), times: [] as number[] }))
  for (let sample = 0; sample < SAMPLES; sample++) {
    for (const { one, calls, times } of entries) times.push(timeCalls(one, calls) / calls)
  }
  return entries.map(({ one, times }) => {
    const nsPerCall = median(times)
    return {
      name: one.name,
      nsPerCall,
      spread: relativeSpread(times),
      mibPerSec: one.bytes === undefined ? undefined : (one.bytes / nsPerCall) * NS_TO_MIB_PER_SEC,
      samples: times.length,
    }
  })
}

/** What all results were folded into. Reading it is what makes every result used. */
export function foldedResults(): number {
  return folded
}

/** Runs the case until the compiler has settled. @returns how many calls make one sample long enough. */
function warmUp(one: MicroCase): number {
  let calls = 1
  let spentNs = 0
  while (spentNs < WARM_UP_NS) {
    const tookNs = timeCalls(one, calls)
    spentNs += tookNs
    if (tookNs < SAMPLE_NS) calls *= 2
  }
  return calls
}

function timeCalls({ run }: MicroCase, calls: number): number {
  let sum = 0
  const begun = process.hrtime.bigint()
  for (let call = 0; call < calls; call++) sum = (sum + weigh(run())) | 0
  const tookNs = Number(process.hrtime.bigint() - begun)
  folded = (folded + sum) | 0
  return tookNs
}

// Cheap on purpose: it is part of every timed call.
function weigh(result: unknown): number {
  if (typeof result === 'number') return result
  if (typeof result === 'string') return result.length
  return result === undefined || result === null ? 0 : 1
}

let folded = 0

const SAMPLES = 41
const SAMPLE_NS = 5e6
const WARM_UP_NS = 2e8
const NS_TO_MIB_PER_SEC = 1e9 / 1024 ** 2
