/** The entry of `npm run bench`: reads the options and runs the benchmark they ask for. */
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startBackends } from './backend.js'
import { Children } from './children.js'
import { listContenders } from './contenders.js'
import type { Contender } from './contenders.js'
import { chooseLoadGenerator } from './load-generator.js'
import { describeMachine } from './machine.js'
import { measureMemory } from './memory.js'
import { runMicroBenchmarks } from './micro/run.js'
import { USAGE, parseOptions } from './options.js'
import type { BenchOptions } from './options.js'
import { formatScenario, formatTargets, writeJson } from './report.js'
import { SCENARIOS } from './scenarios.js'
import { runScenario } from './side-by-side.js'
import type { Bench, ScenarioResult } from './side-by-side.js'

/** Runs the benchmark that `args` describe. @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options.mode === 'help') {
    console.log(USAGE)
    return 0
  }
  if (options.mode === 'micro') return reportMicro(options)
  const ours = options.ours === undefined ? join(PROGRAMS, 'ours.js') : resolve(options.ours)
  const contenders = listContenders({ root: ROOT, programs: PROGRAMS, ours }).filter(({ name }) =>
    options.only.includes(name),
  )
  const children = new Children()
  try {
    return options.mode === 'memory'
      ? await reportMemory(options, children, contenders)
      : await reportSideBySide(options, children, contenders)
  } finally {
    await children.close()
  }
}

async function reportSideBySide(
  options: BenchOptions,
  children: Children,
  contenders: readonly Contender[],
): Promise<number> {
  const backends = await startBackends(children, PROGRAMS)
  const bench: Bench = {
    children,
    load: chooseLoadGenerator(children.directory, PROGRAMS),
    backends,
    seconds: options.seconds,
    // Two seconds are what the Node programs need before their compiled code settles.
    warmUpSeconds: options.mode === 'smoke' ? 1 : 2,
    progress,
  }
  const machine = describeMachine()
  const versions = Object.fromEntries(
    contenders.map(({ name, version }) => [name, version ?? null]),
  )
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}`)
  const list = Object.entries(versions).map(([name, version]) => `${name} (${version ?? 'absent'})`)
  console.log(`${list.join(', ')}; load from ${bench.load.name}, backend ${backends.kind}`)
  if (machine.load > BUSY_LOAD) {
    console.log(
      `the machine is busy (load average ${machine.load.toFixed(1)}): repeat when it is idle`,
    )
  }
  if (!machine.pinned) console.log('not pinned to cores: compare only CPU per request')
  console.log('')

  const results: ScenarioResult[] = []
  for (const scenario of SCENARIOS.filter(({ name }) => options.scenarios.includes(name))) {
    const rounds = options.rounds ?? scenario.rounds
    const isPlain = scenario.tls === false && scenario.streams === 0
    const able = contenders.filter(({ speaksMore }) => isPlain || speaksMore)
    const result = await runScenario(bench, scenario, able, rounds)
    results.push(result)
    console.log(formatScenario(result))
  }
  if (options.mode === 'smoke') return smokeVerdict(results)
  console.log(formatTargets(results))
  const file = options.json ?? defaultJsonFile('side-by-side')
  const settings = { seconds: options.seconds, load: bench.load.name, backend: backends.kind }
  writeJson(file, { at: new Date().toISOString(), machine, versions, settings, results })
  console.log(`figures in ${file}`)
  const failed = results.flatMap(({ rows }) => rows).filter(isFailure)
  return failed.length > 0 ? 1 : 0
}

async function reportMemory(
  options: BenchOptions,
  children: Children,
  contenders: readonly Contender[],
): Promise<number> {
  const { large } = await startBackends(children, PROGRAMS)
  const { text, figures } = await measureMemory(children, large, contenders, progress)
  console.log(text)
  const file = options.json ?? defaultJsonFile('memory')
  writeJson(file, { at: new Date().toISOString(), machine: describeMachine(), figures })
  console.log(`figures in ${file}`)
  return figures.some(({ failure }) => failure !== undefined) ? 1 : 0
}

function reportMicro(options: BenchOptions): number {
  const { text, figures } = runMicroBenchmarks()
  console.log(text)
  const file = options.json ?? defaultJsonFile('micro')
  writeJson(file, { at: new Date().toISOString(), machine: describeMachine(), figures })
  console.log(`figures in ${file}`)
  return 0
}

// A missing nginx does not fail the smoke test: the runners of some systems have none.
function smokeVerdict(results: readonly ScenarioResult[]): number {
  const faults = results.flatMap(({ scenario, rows }) =>
    rows
      .filter((row) => isFailure(row) || (row.summary?.errors ?? 0) > 0)
      .map(({ contender, failure, summary }) => {
        const reason = failure ?? `${summary?.errors ?? 0} errors`
        return `${scenario.name}: ${contender}: ${reason}`
      }),
  )
  console.log(faults.length === 0 ? 'smoke: no errors' : `smoke failed\n${faults.join('\n')}`)
  return faults.length === 0 ? 0 : 1
}

function isFailure({ contender, failure }: ScenarioResult['rows'][number]): boolean {
  return failure !== undefined && (failure !== 'not installed' || contender === 'ours')
}

function progress(line: string): void {
  console.error(line)
}

function defaultJsonFile(kind: string): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '')
  return join(ROOT, 'bench', 'results', `${kind}-${time}.json`)
}

// An idle machine stays below this; a run of its own starts only after the reading.
const BUSY_LOAD = 0.7

// This file runs as build/bench/run.js.
const HERE = dirname(fileURLToPath(import.meta.url))
const ROOT = resolve(HERE, '..', '..')
const PROGRAMS = join(HERE, 'programs')
