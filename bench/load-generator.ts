/** Drives one program for a few seconds: wrk where it is installed, else autocannon from npm; h2load for HTTP/2. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { outputOf } from './children.js'
import { LOAD_CORE, findProgram } from './machine.js'
import type { Scenario } from './scenarios.js'
import { percentiles } from './statistics.js'

/** What a load generator saw in one window. */
export interface LoadResult {
  /** Responses received whole. */
  readonly requests: number
  /** Length of the window. */
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Failed connects, reads and writes, time-outs, and responses other than 2xx and 3xx. */
  readonly errors: number
}

export interface LoadGenerator {
  readonly name: 'wrk' | 'autocannon'
  /** Loads `port` on the loopback for a whole number of seconds. */
  run(port: number, scenario: Scenario, seconds: number): Promise<LoadResult>
}

/** @param directory - where wrk's reporting script is put. */
export function chooseLoadGenerator(directory: string, programs: string): LoadGenerator {
  const wrk = findProgram('wrk')
  const http1 = wrk === undefined ? nodeGenerator(programs) : wrkGenerator(wrk, directory, programs)
  return {
    name: http1.name,
    run: (port, scenario, seconds) =>
      scenario.streams > 0
        ? runH2load(directory, port, scenario, seconds)
        : http1.run(port, scenario, seconds),
  }
}

/** h2load sums up only means; its log has the time of each request. */
async function runH2load(
  directory: string,
  port: number,
  scenario: Scenario,
  seconds: number,
): Promise<LoadResult> {
  const program = findProgram('h2load')
  if (program === undefined) throw new Error('h2load is not installed')
  const log = join(directory, 'h2load.log')
  rmSync(log, { force: true })
  const load = [`-c${scenario.connections}`, `-m${scenario.streams}`, `-D${seconds}`]
  const url = urlOf(port, scenario)
  await outputOf(LOAD_CORE, [program, ...load, '--log-file', log, url])
  return readH2loadLog(readFileSync(log, 'latin1'), seconds)
}

/** @param log a line a request: when it began, its status or -1, and how long it took, in µs. */
function readH2loadLog(log: string, seconds: number): LoadResult {
  const timesMs: number[] = []
  let errors = 0
  for (const line of log.trimEnd().split('\n')) {
    const [, status = '', took = ''] = line.split('\t')
    if (/^[23]\d\d$/.test(status)) timesMs.push(Number(took) / 1_000)
    else errors++
  }
  return { requests: timesMs.length, seconds, ...percentiles(timesMs), errors }
}

function wrkGenerator(wrk: string, directory: string, programs: string): LoadGenerator {
  const script = join(directory, 'report.lua')
  writeFileSync(script, WRK_REPORT)
  return {
    name: 'wrk',
    run: async (port, scenario, seconds) => {
      const header = scenario.closes ? ['-H', 'Connection: close'] : []
      const load = ['-t1', `-c${scenario.connections}`, `-d${seconds}s`, '--timeout', '5s']
      if (scenario.tls === 'resumed') return handshakes(programs, port, scenario, seconds)
      const url = urlOf(port, scenario)
      return lastJson(await outputOf(LOAD_CORE, [wrk, ...load, ...header, '-s', script, url]))
    },
  }
}

function nodeGenerator(programs: string): LoadGenerator {
  return {
    name: 'autocannon',
    run: async (port, scenario, seconds) => {
      if (scenario.tls !== false && scenario.closes)
        return handshakes(programs, port, scenario, seconds)
      const url = urlOf(port, scenario)
      const program = scenario.closes ? 'closing-load.js' : 'autocannon.js'
      const load = [url, String(scenario.connections), String(seconds)]
      return lastJson(
        await outputOf(LOAD_CORE, [process.execPath, join(programs, program), ...load]),
      )
    },
  }
}

/** wrk resumes no session, and autocannon counts nothing on a connection that closes. */
async function handshakes(
  programs: string,
  port: number,
  scenario: Scenario,
  seconds: number,
): Promise<LoadResult> {
  const program = join(programs, 'handshake-load.js')
  const load = [urlOf(port, scenario), String(scenario.connections), String(seconds)]
  const resumes = scenario.tls === 'resumed' ? ['resume'] : []
  return lastJson(await outputOf(LOAD_CORE, [process.execPath, program, ...load, ...resumes]))
}

function urlOf(port: number, { tls, path }: Scenario): string {
  return `${tls === false ? 'http' : 'https'}://127.0.0.1:${port}${path}`
}

function lastJson(output: string): LoadResult {
  const line = output.trim().split('\n').at(-1) ?? ''
  return JSON.parse(line) as LoadResult
}

// wrk's own text rounds its figures; its script interface gives them whole.
const WRK_REPORT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50Ms":%.3f,"p99Ms":%.3f,"errors":%d}\\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`
