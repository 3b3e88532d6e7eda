/** Turns the figures of a run into a table for people and into JSON for machines. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Row, ScenarioResult } from './side-by-side.js'
import { medianRatio } from './statistics.js'
import { figure, formatTable } from './table.js'

export function formatScenario({ scenario, rows }: ScenarioResult): string {
  const table = formatTable(HEADER, rows.map(cellsOf))
  const failures = rows
    .filter(({ failure }) => failure !== undefined)
    .map(({ contender, failure }) => `${contender}: ${failure}`)
  return [`${scenario.name}: ${scenario.title}`, '', table, ...failures, ''].join('\n')
}

/** What we promise ourselves, beside what was measured. Empty when "ours" was not part of the run. */
export function formatTargets(results: readonly ScenarioResult[]): string {
  const lines: string[] = []
  for (const { scenario, rows } of results) {
    const ours = rows.find(({ contender }) => contender === 'ours')
    if (ours?.summary === undefined) continue
    const cpuBound = CPU_BOUNDS[scenario.name]
    if (cpuBound !== undefined && ours.toNginx.cpu !== undefined) {
      const verdict = ours.toNginx.cpu <= cpuBound ? 'met' : 'NOT met'
      const target = `CPU per request ≤ ${cpuBound.toFixed(2)} × nginx`
      lines.push(`${scenario.name}: ${target}: ${figure(ours.toNginx.cpu, 2)}, ${verdict}`)
    }
    const times = scenario.name === 'small' ? timesBestPeer(ours, rows) : undefined
    if (times !== undefined) {
      const verdict = times >= PEER_BOUND ? 'met' : 'NOT met'
      const target = `requests/s ≥ ${PEER_BOUND} × the best npm peer`
      lines.push(`${scenario.name}: ${target}: ${figure(times, 1)}, ${verdict}`)
    }
  }
  return lines.length === 0 ? '' : ['targets', '', ...lines, ''].join('\n')
}

/** How many times the requests of the npm peer that comes closest; rounds are compared, as with nginx. */
function timesBestPeer(ours: Row, rows: readonly Row[]): number | undefined {
  const perSec = (row: Row): number[] => row.rounds.map(({ requestsPerSec }) => requestsPerSec)
  const times = rows
    .filter(({ fromNpm }) => fromNpm)
    .flatMap((row) => medianRatio(perSec(ours), perSec(row)) ?? [])
  return times.length > 0 ? Math.min(...times) : undefined
}

export function writeJson(file: string, report: object): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
}

// A row with errors is marked at its name: its other figures are those of a program that failed.
function cellsOf({ contender, summary, toNginx, failure }: Row): readonly string[] {
  const marked = failure !== undefined || (summary?.errors ?? 0) > 0
  const name = marked ? `${contender} !` : contender
  if (summary === undefined) return [name, ...HEADER.slice(1).map(() => '–')]
  return [
    name,
    figure(summary.requestsPerSec),
    figure(summary.cpuUs, 1),
    figure(summary.userUs, 1),
    figure(summary.systemUs, 1),
    figure(summary.busy === undefined ? undefined : summary.busy * 100),
    figure(summary.p50Ms, 2),
    figure(summary.p99Ms, 2),
    figure(summary.residentMiB, 1),
    figure(toNginx.requestsPerSec, 2),
    figure(toNginx.cpu, 2),
    figure(summary.errors),
  ]
}

const HEADER = [
  'program',
  'req/s',
  'CPU µs/req',
  'user',
  'system',
  'core %',
  'p50 ms',
  'p99 ms',
  'RSS MiB',
  'req/s ÷ nginx',
  'CPU ÷ nginx',
  'errors',
]

const CPU_BOUNDS: Readonly<Record<string, number>> = { small: 1.15, '64k': 1.25 }
const PEER_BOUND = 4
