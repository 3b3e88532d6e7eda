/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util'
import type { ContenderName } from './contenders.js'
import type { ScenarioName } from './scenarios.js'

export const USAGE = `npm run bench -- [options]

  (no option)        ours, nginx, HAProxy and the npm peers under four kinds of load; under 5 minutes
  --only A,B         only these of ours, nginx, haproxy, http-proxy, httpxy, fast-proxy
  --scenario A,B     only these of small, 64k, 1m, close, tls, tls-full, tls-resumed, h2c, h2
  --tls              ours and nginx with TLS to clients: tls, tls-full, tls-resumed
  --http2            ours and nginx with clients of HTTP/2, by h2load: h2c, h2
  --seconds N        length of one measurement; whole seconds. Default: 2
  --rounds N         measurements of each program, taken in turn. Default: 6 for small, 3 for others
  --json FILE        where the figures go. Default: bench/results/TIME.json
  --ours FILE        measure another program as "ours": node FILE LISTEN_PORT BACKEND_HOST:PORT
  --smoke            ours and nginx for one second each: fails on an error, never on a speed
  --memory           memory per idle client, memory under a slow reader, time to start
  --micro            micro-benchmarks of the codec
  --no-build         use what is compiled already
  --help
`

const CONTENDERS: readonly ContenderName[] = [
  'ours',
  'nginx',
  'haproxy',
  'http-proxy',
  'httpxy',
  'fast-proxy',
]
const PLAIN: readonly ScenarioName[] = ['small', '64k', '1m', 'close']
const WITH_TLS: readonly ScenarioName[] = ['tls', 'tls-full', 'tls-resumed']
const WITH_HTTP2: readonly ScenarioName[] = ['h2c', 'h2']

export type Mode = 'side-by-side' | 'smoke' | 'memory' | 'micro' | 'help'

export interface BenchOptions {
  readonly mode: Mode
  readonly only: readonly ContenderName[]
  readonly scenarios: readonly ScenarioName[]
  readonly seconds: number
  /** Undefined: each scenario's own number. */
  readonly rounds: number | undefined
  readonly json: string | undefined
  readonly ours: string | undefined
}

/** @throws Error with a text for the user when an option is unknown or has a bad value. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      scenario: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      ours: { type: 'string' },
      tls: { type: 'boolean', default: false },
      http2: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      memory: { type: 'boolean', default: false },
      micro: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const modes: Mode[] = []
  for (const mode of ['smoke', 'memory', 'micro', 'help'] as const) {
    if (values[mode]) modes.push(mode)
  }
  const mode = modes[0] ?? 'side-by-side'
  // Both modes that look at single programs are about us, with nginx for a measure.
  const all = mode === 'smoke' || mode === 'memory' ? CONTENDERS.slice(0, 2) : CONTENDERS
  const asked = [...(values.tls ? WITH_TLS : []), ...(values.http2 ? WITH_HTTP2 : [])]
  return {
    mode,
    only: namesIn('--only', values.only, CONTENDERS) ?? all,
    scenarios:
      namesIn('--scenario', values.scenario, [...PLAIN, ...WITH_TLS, ...WITH_HTTP2]) ??
      (asked.length > 0 ? asked : PLAIN),
    seconds: countIn('--seconds', values.seconds) ?? (mode === 'smoke' ? 1 : 2),
    rounds: countIn('--rounds', values.rounds) ?? (mode === 'smoke' ? 1 : undefined),
    json: values.json,
    ours: values.ours,
  }
}

function namesIn<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): readonly Name[] | undefined {
  if (text === undefined) return undefined
  const wanted = text.split(',').map((name) => name.trim())
  for (const name of wanted) {
    if (!known.some((one) => one === name)) {
      throw usageError(`${option}: ${name} is none of ${known.join(', ')}`)
    }
  }
  return known.filter((name) => wanted.includes(name))
}

function countIn(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 3_600) {
    throw usageError(`${option}: a whole number from 1 to 3600, got ${text}`)
  }
  return count
}

/** Carries a code, as the errors of `parseArgs` do, so that its text is shown without a stack. */
function usageError(text: string): Error {
  return Object.assign(new Error(text), { code: 'BENCH_USAGE' })
}
