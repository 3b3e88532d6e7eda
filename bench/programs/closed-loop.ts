/** Clients that make one request after another until the time is over; for loads that no generator offers. */
import type { LoadResult } from '../load-generator.js'
import { percentiles } from '../statistics.js'

/**
 * Runs `connections` clients for `seconds` and prints their {@link LoadResult} as JSON.
 * @param exchange makes one request; resolves to whether all was well with it.
 */
export async function runClosedLoop(
  connections: number,
  seconds: number,
  exchange: () => Promise<boolean>,
): Promise<void> {
  const times: number[] = []
  let errors = 0
  const begun = performance.now()
  const until = begun + seconds * 1_000
  const client = async (): Promise<void> => {
    for (let start = performance.now(); start < until; start = performance.now()) {
      if (await exchange()) times.push(performance.now() - start)
      else errors++
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  const report: LoadResult = {
    requests: times.length,
    seconds: (performance.now() - begun) / 1_000,
    ...percentiles(times),
    errors,
  }
  console.log(JSON.stringify(report))
}
