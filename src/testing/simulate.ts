/** `simulate`: runs one world per seed, and says how to repeat the one that failed. */
import { describeThrown, intInRange } from '../error/index.js'
import { toError } from './driver.js'
import { TestWorld } from './world.js'
import type { TestWorldOptions } from './world.js'

/** What happens in a world; all chance must come from `world.random`. */
export type Scenario = (world: TestWorld) => Promise<void>

/** What the worlds of a simulation are like; by default none waits for jobs outside of JavaScript. */
export type SimulatedWorldOptions = Omit<TestWorldOptions, 'seed' | 'traces'>

/** What {@link simulate} does. */
export interface SimulateOptions {
  /** How many seeds are run, one after the other. 1 or more. */
  readonly seeds: number
  /** The first seed. Default: 1. */
  readonly from?: number
  /** Lives in one world and rejects when something is wrong. The world is closed for it. */
  readonly run: Scenario
  /** What the worlds are like. Default: no latency, no names. */
  readonly world?: SimulatedWorldOptions
  /** The command that runs one seed again. Default: `PINGORA_SEED=…` and the command of this process. */
  readonly replay?: (seed: number) => string
}

/** What a simulation without a failure went through. */
export interface SimulationSummary {
  /** Worlds that were run. */
  readonly seeds: number
  /** Calls of their clocks: bytes that arrived, time-outs, everything. */
  readonly events: number
  /** Time that passed in them, in ms. */
  readonly virtualMs: number
}

/** A world in which something was wrong. `cause` is what, with the stack of where it was noticed. */
export class SimulationFailure extends Error {
  /** The seed of the world. */
  readonly seed: number
  /** When it failed, in virtual ms. */
  readonly atMs: number
  /** What happened in the world, oldest first. */
  readonly trace: readonly string[]
  /** The command that runs it again. */
  readonly replay: string

  /** Made by {@link simulate}. */
  constructor(facts: Omit<SimulationFailure, keyof Error>, failure: Error) {
    const { seed, atMs, trace, replay } = facts
    const shown = trace.slice(-SHOWN_TRACE_LINES)
    const [reason] = failure.message.split('\n')
    const lines = [
      `seed ${seed} failed at ${atMs} ms: ${reason ?? ''}`,
      `run it again: ${replay}`,
      `last ${shown.length} of ${trace.length} events:`,
      ...shown.map((line) => `  ${line}`),
    ]
    super(lines.join('\n'), { cause: failure })
    this.name = 'SimulationFailure'
    this.seed = seed
    this.atMs = atMs
    this.trace = trace
    this.replay = replay
  }
}

/**
 * Runs `run` in one new world per seed, and closes each. A world fails when `run` rejects, when the
 * code under test leaves something open (see {@link TestWorld.leftovers}), and when it throws where
 * nobody catches. The environment variable `PINGORA_SEED` replaces all seeds by that one.
 * @throws {@link SimulationFailure} (rejects) for the first seed that fails.
 */
export async function simulate(options: SimulateOptions): Promise<SimulationSummary> {
  const { run, world = {}, replay = defaultReplay } = options
  const { from, seeds } = seedRange(options)
  const summary = { seeds: 0, events: 0, virtualMs: 0 }
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await runSeed(seed, run, world, false)
    summary.seeds++
    summary.events += outcome.events
    summary.virtualMs += outcome.atMs
    if (outcome.failure !== null) {
      const again = await repeat(seed, run, world, outcome.failure)
      throw new SimulationFailure({ ...again, seed, replay: replay(seed) }, again.failure)
    }
  }
  return summary
}

/**
 * Everything that happened in one world, for a test that equal seeds give equal runs.
 * @throws {@link SimulationFailure} (rejects) when the run fails.
 */
export async function traceOf(
  seed: number,
  run: Scenario,
  world: SimulatedWorldOptions = {},
): Promise<readonly string[]> {
  const outcome = await runSeed(seed, run, world, true)
  if (outcome.failure === null) return outcome.trace
  const facts = { ...outcome, seed, replay: defaultReplay(seed) }
  throw new SimulationFailure(facts, outcome.failure)
}

interface Outcome {
  /** What was wrong; `null`: nothing. */
  readonly failure: Error | null
  /** When the run ended, in virtual ms. */
  readonly atMs: number
  readonly events: number
  readonly trace: readonly string[]
}

/** Traces cost time, so only the run that failed gets one: by being run again. */
async function repeat(
  seed: number,
  run: Scenario,
  world: SimulatedWorldOptions,
  failure: Error,
): Promise<Outcome & { readonly failure: Error }> {
  const again = await runSeed(seed, run, world, true)
  if (again.failure !== null) return { ...again, failure: again.failure }
  const reason = `${failure.message.split('\n')[0] ?? ''} (but not in a second run: ${OTHER_CHANCE})`
  return { ...again, failure: new Error(reason, { cause: failure }) }
}

async function runSeed(
  seed: number,
  run: Scenario,
  options: SimulatedWorldOptions,
  traces: boolean,
): Promise<Outcome> {
  const world = new TestWorld({ countsJobs: false, ...options, seed, traces })
  const thrown: Error[] = []
  const attempt = async (step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      thrown.push(toError(error))
    }
  }
  await attempt(() => run(world))
  const atMs = world.clock.nowMs()
  await attempt(() => world.close())
  const failure = thrown[0] ?? faultOf(world)
  return { failure, atMs, events: world.events, trace: world.trace }
}

function faultOf(world: TestWorld): Error | null {
  if (world.uncaught.length > 0) {
    const [first] = world.uncaught
    return new Error(`thrown and not caught: ${describeThrown(first)}`, { cause: first })
  }
  const leftovers = world.leftovers()
  return leftovers.length === 0 ? null : new Error(`left over: ${leftovers.join(', ')}`)
}

function seedRange({ seeds, from = 1 }: SimulateOptions): { from: number; seeds: number } {
  const only = process.env[SEED_VARIABLE]
  if (only !== undefined && only !== '') {
    return { from: intInRange(SEED_VARIABLE, Number(only), 0, MAX_SEED), seeds: 1 }
  }
  return {
    from: intInRange('from', from, 0, MAX_SEED),
    seeds: intInRange('seeds', seeds, 1, MAX_SEED - from + 1),
  }
}

/** The command that runs this very program; vitest's workers hide theirs. */
function defaultReplay(seed: number): string {
  const own = ['node', ...process.execArgv, ...process.argv.slice(1)].map(quoted).join(' ')
  const command = process.env['VITEST'] === undefined ? own : 'npx vitest run'
  return `${SEED_VARIABLE}=${seed} ${command}`
}

function quoted(argument: string): string {
  return /^[\w./:=@+-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
}

const OTHER_CHANCE = 'it uses more than the seed, or jobs that only `countsJobs: true` waits for'
const SEED_VARIABLE = 'PINGORA_SEED'
const MAX_SEED = 0xffff_ffff
const SHOWN_TRACE_LINES = 40
