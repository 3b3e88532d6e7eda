/** Measures programs in turn, round after round, so that a drifting machine drifts for all of them. */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { backendOf } from './backend.js'
import type { Backends } from './backend.js'
import { startProxy } from './contenders.js'
import type { Contender, ContenderName, RunningProxy } from './contenders.js'
import type { Children } from './children.js'
import type { LoadGenerator } from './load-generator.js'
import { cpuBetween, cpuTime, residentKiB } from './process-usage.js'
import type { Scenario } from './scenarios.js'
import { median, medianRatio } from './statistics.js'

/** What one program did in one window; CPU and memory are undefined where there is no /proc. */
export interface Sample {
  readonly requestsPerSec: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
  readonly cpuUs: number | undefined
  readonly userUs: number | undefined
  readonly systemUs: number | undefined
  /** Share of its core that the program kept busy, 0 to 1. */
  readonly busy: number | undefined
  readonly residentMiB: number | undefined
}

/** One program under one scenario. */
export interface Row {
  readonly contender: ContenderName
  readonly fromNpm: boolean
  readonly rounds: readonly Sample[]
  /** Medians over the rounds; errors are summed. Undefined when the program could not be measured. */
  readonly summary: Sample | undefined
  /** Medians of each round's figure divided by nginx's of the same round. */
  readonly toNginx: { readonly cpu?: number; readonly requestsPerSec?: number }
  readonly failure: string | undefined
}

export interface ScenarioResult {
  readonly scenario: Scenario
  readonly rows: readonly Row[]
}

export interface Bench {
  readonly children: Children
  readonly load: LoadGenerator
  readonly backends: Backends
  readonly seconds: number
  readonly warmUpSeconds: number
  /** Told what happens, for a person who waits. */
  readonly progress: (line: string) => void
}

/** Runs one scenario over all programs. A program that fails is reported in its row, not thrown. */
export async function runScenario(
  bench: Bench,
  scenario: Scenario,
  contenders: readonly Contender[],
  rounds: number,
): Promise<ScenarioResult> {
  const entrants: Entrant[] = contenders.map((contender) => ({ contender, samples: [] }))
  const { roundsPerStart = rounds } = scenario
  for (let round = 1; round <= rounds; round += roundsPerStart) {
    const to = Math.min(rounds, round + roundsPerStart - 1)
    await runStart(bench, scenario, entrants, { from: round, to, of: rounds })
  }
  const nginx = entrants.find(({ contender }) => contender.name === 'nginx')?.samples ?? []
  return { scenario, rows: entrants.map((entrant) => rowOf(entrant, nginx)) }
}

/** Starts all programs, measures these rounds of them, and ends them. */
async function runStart(
  bench: Bench,
  scenario: Scenario,
  entrants: readonly Entrant[],
  rounds: { readonly from: number; readonly to: number; readonly of: number },
): Promise<void> {
  try {
    for (const entrant of entrants) await enter(bench, scenario, entrant)
    for (let round = rounds.from; round <= rounds.to; round++) {
      for (const entrant of entrants) {
        await measureRound(bench, scenario, entrant, `${scenario.name} ${round}/${rounds.of}`)
      }
    }
  } finally {
    for (const { proxy } of entrants) await proxy?.child.end()
  }
}

/** A program on its way through one scenario. */
interface Entrant {
  readonly contender: Contender
  readonly samples: Sample[]
  proxy?: RunningProxy
  failure?: string
}

async function enter(bench: Bench, scenario: Scenario, entrant: Entrant): Promise<void> {
  const { contender } = entrant
  if (entrant.failure !== undefined) return
  try {
    if (contender.version === undefined) throw new Error('not installed')
    const backend = backendOf(bench.backends, scenario)
    entrant.proxy = await startProxy(bench.children, contender, backend, scenario)
    await checkAnswer(entrant.proxy.port, scenario)
    bench.progress(`${scenario.name} warm-up: ${contender.name}`)
    await bench.load.run(entrant.proxy.port, scenario, bench.warmUpSeconds)
  } catch (error) {
    entrant.failure = messageOf(error)
    bench.progress(`${scenario.name}: ${contender.name} left out: ${entrant.failure}`)
  }
}

async function measureRound(
  bench: Bench,
  scenario: Scenario,
  entrant: Entrant,
  label: string,
): Promise<void> {
  if (entrant.failure !== undefined || entrant.proxy === undefined) return
  const { contender, proxy } = entrant
  try {
    const sample = await measure(bench, scenario, proxy)
    entrant.samples.push(sample)
    const { requestsPerSec, cpuUs = NaN } = sample
    const figures = `${requestsPerSec.toFixed(0)}/s, ${cpuUs.toFixed(1)} CPU µs/request`
    bench.progress(`${label}: ${contender.name} ${figures}`)
    if (!proxy.child.running) throw new Error(`ended: ${proxy.child.lastWords()}`)
  } catch (error) {
    entrant.failure = messageOf(error)
    bench.progress(`${label}: ${contender.name} failed: ${entrant.failure}`)
  }
}

async function measure(bench: Bench, scenario: Scenario, proxy: RunningProxy): Promise<Sample> {
  const pids = proxy.contender.measuredPids(proxy.child.pid)
  const before = cpuTime(pids)
  const result = await bench.load.run(proxy.port, scenario, bench.seconds)
  const after = cpuTime(pids)
  if (result.requests === 0) throw new Error(`no request answered, ${result.errors} errors`)
  const cpu = before && after && cpuBetween(before, after)
  const resident = residentKiB(pids)
  return {
    requestsPerSec: result.requests / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    errors: result.errors,
    cpuUs: cpu && cpu.totalUs / result.requests,
    userUs: cpu && cpu.userUs / result.requests,
    systemUs: cpu && cpu.systemUs / result.requests,
    busy: cpu && cpu.totalUs / (result.seconds * 1e6),
    residentMiB: resident === undefined ? undefined : resident / 1024,
  }
}

// A proxy that answers quickly but wrongly must not win: one answer is read before the clock starts.
async function checkAnswer(port: number, scenario: Scenario): Promise<void> {
  const { status, bytes } = await (scenario.streams > 0 ? askByHttp2 : ask)(port, scenario)
  if (status !== 200 || bytes !== scenario.bodyBytes) {
    throw new Error(`wrong answer: status ${status}, ${bytes} of ${scenario.bodyBytes} bytes`)
  }
}

interface Answer {
  readonly status: number
  readonly bytes: number
}

function ask(port: number, { path, tls }: Scenario): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target = { port, host: '127.0.0.1', path, agent: false }
    const request =
      tls === false ? http.get(target) : https.get({ ...target, rejectUnauthorized: false })
    request.setTimeout(ANSWER_MS, () => request.destroy(new Error('no answer within 5 s')))
    request.on('error', reject)
    request.on('response', (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, bytes })
      })
    })
  })
}

function askByHttp2(port: number, { path, tls }: Scenario): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const scheme = tls === false ? 'http' : 'https'
    const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
    session.on('error', reject)
    const request = session.request({ ':path': path })
    request.setTimeout(ANSWER_MS, () => request.destroy(new Error('no answer within 5 s')))
    request.on('error', reject)
    request.on('response', ({ ':status': status = 0 }) => {
      let bytes = 0
      request.on('data', (chunk: Buffer) => (bytes += chunk.length))
      request.on('end', () => {
        session.close()
        resolve({ status, bytes })
      })
    })
  })
}

const ANSWER_MS = 5_000

function rowOf({ contender, samples, failure }: Entrant, nginx: readonly Sample[]): Row {
  const ratio = (key: 'cpuUs' | 'requestsPerSec'): number | undefined =>
    medianRatio(
      samples.map((sample) => sample[key]),
      nginx.map((sample) => sample[key]),
    )
  const cpu = ratio('cpuUs')
  const requestsPerSec = ratio('requestsPerSec')
  return {
    contender: contender.name,
    fromNpm: contender.fromNpm,
    rounds: samples,
    summary: samples.length > 0 ? summarize(samples) : undefined,
    toNginx: { ...(cpu && { cpu }), ...(requestsPerSec && { requestsPerSec }) },
    failure,
  }
}

function summarize(samples: readonly Sample[]): Sample {
  const middle = (key: keyof Sample): number | undefined => {
    const values = samples.map((sample) => sample[key]).filter((value) => value !== undefined)
    return values.length > 0 ? median(values) : undefined
  }
  return {
    requestsPerSec: middle('requestsPerSec') ?? NaN,
    p50Ms: middle('p50Ms') ?? NaN,
    p99Ms: middle('p99Ms') ?? NaN,
    errors: samples.reduce((sum, { errors }) => sum + errors, 0),
    cpuUs: middle('cpuUs'),
    userUs: middle('userUs'),
    systemUs: middle('systemUs'),
    busy: middle('busy'),
    residentMiB: middle('residentMiB'),
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
