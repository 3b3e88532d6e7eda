/** Keep-alive load from npm for machines without wrk: `node autocannon.js URL CONNECTIONS SECONDS`. */
import { createRequire } from 'node:module'
import type { LoadResult } from '../load-generator.js'

/** The part of autocannon that is used here; the package brings no types. */
type Autocannon = (options: { url: string; connections: number; duration: number }) => Promise<{
  requests: { total: number }
  latency: { p50: number; p99: number }
  duration: number
  errors: number
  non2xx: number
}>

const require = createRequire(import.meta.url)
const autocannon = require('autocannon') as Autocannon

const [url = '', connections, seconds] = process.argv.slice(2)
const result = await autocannon({
  url,
  connections: Number(connections),
  duration: Number(seconds),
})
const report: LoadResult = {
  requests: result.requests.total,
  seconds: result.duration,
  p50Ms: result.latency.p50,
  p99Ms: result.latency.p99,
  errors: result.errors + result.non2xx,
}
console.log(JSON.stringify(report))
