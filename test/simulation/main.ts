/** Runs seeds of the simulation in this process, and prints the first failure with its replay. */
import { parseArgs } from 'node:util'
import { SimulationFailure, simulate, traceOf } from '../../src/testing/index.js'
import type { SimulationSummary } from '../../src/testing/index.js'
import { runScenario } from './scenario.js'

/** Which seeds are run, and how. */
export interface SimulationRange {
  readonly from: number
  readonly seeds: number
  /** Runs each seed twice and compares what happened. */
  readonly checksDeterminism: boolean
}

/** Runs the range. @throws {@link SimulationFailure}; an error that names the first difference. */
export async function runSeeds({
  from,
  seeds,
  checksDeterminism,
}: SimulationRange): Promise<SimulationSummary> {
  const replay = (seed: number): string => `npm run simulate -- --seed ${seed}`
  if (!checksDeterminism) return simulate({ from, seeds, run: runScenario, replay })
  for (let seed = from; seed < from + seeds; seed++) {
    compare(seed, await traceOf(seed, runScenario), await traceOf(seed, runScenario))
  }
  return { seeds, events: 0, virtualMs: 0 }
}

function compare(seed: number, first: readonly string[], second: readonly string[]): void {
  const length = Math.max(first.length, second.length)
  for (let line = 0; line < length; line++) {
    if (first[line] === second[line]) continue
    const lines = `${first[line] ?? 'its end'}\n  ${second[line] ?? 'its end'}`
    throw new Error(`seed ${seed} gives two traces, which differ in line ${line}:\n  ${lines}`)
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      from: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '100' },
      'check-determinism': { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
    },
  })
  const range = { from: Number(values.from), seeds: Number(values.seeds) }
  try {
    if (values.trace) for (const line of await traceOf(range.from, runScenario)) console.log(line)
    const summary = await runSeeds({
      ...range,
      checksDeterminism: values['check-determinism'],
    })
    if (process.send === undefined) console.log(JSON.stringify(summary))
    else process.send(summary)
  } catch (thrown) {
    console.error(thrown instanceof SimulationFailure ? describe(thrown, values.trace) : thrown)
    process.exitCode = 1
  }
}

/** The failure, and what happened on the connection that it names, or everything. */
function describe({ message, trace }: SimulationFailure, shown: boolean): string {
  const address = /\d+\.\d+\.\d+\.\d+:\d+/.exec(message.split('\n', 1)[0] ?? '')?.[0]
  if (!shown && address === undefined) return message
  const lines = shown ? trace : trace.filter((line) => line.includes(address ?? '')).slice(-60)
  return [message, `events ${shown ? 'of the world' : `at ${address ?? ''}`}:`, ...lines].join(
    '\n  ',
  )
}

if (import.meta.filename === process.argv[1]) await main()
