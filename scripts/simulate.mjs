/**
 * Simulates proxies in virtual time, each world drawn from a seed, against invariants.
 *
 *   npm run simulate -- --seeds N [--from S] [--jobs J] [--check-determinism]
 *   npm run simulate -- --seed S [--trace]      runs one seed again; --trace shows all that happens
 *
 * A failure names the invariant, the request, the seed and the command that runs it again. The last
 * line says what was run; exit code 1 when there is a failure. `--jobs` processes share the seeds.
 */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, buildTests } from './house.mjs'

const USAGE =
  'usage: npm run simulate -- [--seeds N] [--from S] [--seed S] [--jobs J] [--check-determinism] [--trace]'

await main()

async function main() {
  const options = readOptions()
  if (options === null) {
    console.error(USAGE)
    process.exitCode = 2
  } else if ((await buildTests()).code !== 0) process.exitCode = 1
  else process.exitCode = await simulate(options)
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: 'string', default: '1000' },
        from: { type: 'string', default: '1' },
        seed: { type: 'string' },
        jobs: { type: 'string', default: '2' },
        'check-determinism': { type: 'boolean', default: false },
        trace: { type: 'boolean', default: false },
      },
    })
    const from = Number(values.seed ?? values.from)
    const seeds = values.seed === undefined ? Number(values.seeds) : 1
    const jobs = Number(values.jobs)
    const flags = ['check-determinism', 'trace'].filter((name) => values[name])
    const isGood = from >= 0 && seeds >= 1 && jobs >= 1 && from + seeds <= 2 ** 32
    if (!isGood || ![from, seeds, jobs].every(Number.isInteger)) return null
    return { from, seeds, jobs, flags: flags.map((name) => `--${name}`) }
  } catch {
    return null
  }
}

/** Runs all seeds, a range of them in each process, and resolves to the exit code. */
async function simulate({ from, seeds, jobs, flags }) {
  const startMs = performance.now()
  const children = []
  const share = Math.ceil(seeds / jobs)
  for (let first = from; first < from + seeds; first += share) {
    children.push(startRange(first, Math.min(share, from + seeds - first), flags))
  }
  const results = children.map(async ({ child, result }) => {
    const summary = await result
    // The first failure is enough to look at.
    if (summary === null)
      for (const other of children) if (other.child !== child) other.child.kill()
    return summary
  })
  const total = { seeds: 0, events: 0, virtualMs: 0 }
  const summaries = await Promise.all(results)
  for (const summary of summaries.filter((each) => each !== null)) {
    for (const name of Object.keys(total)) total[name] += summary[name]
  }
  const failed = summaries.includes(null)
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  const hours = (total.virtualMs / 3_600_000).toFixed(1)
  const facts = `${hours} h of virtual time, ${total.events} events, ${seconds} s`
  console.log(failed ? `a seed failed (${seconds} s)` : `${total.seeds} seeds passed (${facts})`)
  return failed ? 1 : 0
}

/** `result` is what the process went through; `null` when it found a failure, which it has shown. */
function startRange(from, seeds, flags) {
  const args = ['--from', String(from), '--seeds', String(seeds), ...flags]
  const child = fork(join(ROOT, 'build/test/simulation/main.js'), args)
  let summary = null
  child.once('message', (message) => {
    summary = message
  })
  const result = new Promise((resolve) => {
    child.once('close', (code) => resolve(code === 0 ? summary : null))
  })
  return { child, result }
}
