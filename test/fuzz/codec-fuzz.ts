/** Fuzzes the HTTP/1 codec for a given time; failures are saved and told, and do not end the run. */
import { loadVectors } from '../conformance/vectors.js'
import { readCorpus, saveToCorpus } from './corpus.js'
import { checkCodecCase } from './check-codec-case.js'
import { generateInput } from './generate-input.js'
import { Random } from './random.js'

/** How long and from where. */
export interface FuzzOptions {
  readonly seconds: number
  /** Repeats a run. The cases depend on nothing else. */
  readonly seed: number
  /** Whether failing inputs are written to the corpus. */
  readonly save: boolean
  /** Gets a line per failure. */
  readonly report: (line: string) => void
}

/** What a run did. */
export interface FuzzResult {
  readonly cases: number
  readonly accepted: number
  readonly failures: number
  readonly seconds: number
  /** CPU time of the case that took longest, in ms: a near-hang would show here first. */
  readonly slowestMs: number
}

/** Runs until the time is over or {@link MAX_FAILURES} were found. */
export function fuzzCodec({ seconds, seed, save, report }: FuzzOptions): FuzzResult {
  const random = new Random(seed)
  const { request, response } = loadVectors()
  const seeds = [...request, ...response, ...readCorpus()].map(({ text }) => text)
  const begun = performance.now()
  let [now, cases, accepted, failures, slowestMs] = [begun, 0, 0, 0, 0]
  while (now - begun < seconds * 1_000 && failures < MAX_FAILURES) {
    const text = generateInput(random, seeds)
    const cpuBefore = process.cpuUsage()
    cases++
    try {
      if (checkCodecCase(text, random) === 'accepted') accepted++
    } catch (thrown) {
      failures++
      const place = save ? saveToCorpus(text) : JSON.stringify(text.slice(0, 500))
      report(`case ${cases}: ${describe(thrown)}\n  ${place}`)
    }
    const { user, system } = process.cpuUsage(cpuBefore)
    slowestMs = Math.max(slowestMs, (user + system) / 1_000)
    now = performance.now()
  }
  return { cases, accepted, failures, seconds: (now - begun) / 1_000, slowestMs }
}

/** The last line of a run. */
export function codecFuzzSummary(seed: number, result: FuzzResult): string {
  const { cases, accepted, failures, seconds, slowestMs } = result
  return (
    `codec fuzz: seed ${seed}, ${seconds.toFixed(0)} s, ${cases} cases ` +
    `(${Math.round(cases / seconds)}/s, ${Math.round((accepted / cases) * 100)} % with a message), ` +
    `slowest ${slowestMs.toFixed(0)} ms, ${failures} failures`
  )
}

function describe(thrown: unknown): string {
  return thrown instanceof Error
    ? thrown.stack!.split('\n').slice(0, 12).join('\n  ')
    : String(thrown)
}

const MAX_FAILURES = 20
