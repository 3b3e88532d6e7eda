/**
 * One connection per request, for machines without wrk: autocannon counts no response on a
 * connection that closes. `node closing-load.js URL CONNECTIONS SECONDS`.
 */
import { connect } from 'node:net'
import type { LoadResult } from '../load-generator.js'

const [link = '', connections, seconds] = process.argv.slice(2)
const url = new URL(link)
const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`
const begun = performance.now()
const until = begun + Number(seconds) * 1_000
const times: number[] = []
let errors = 0

/** Makes one request on a connection of its own. @returns whether a 2xx came and the server closed. */
function exchange(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port: Number(url.port), host: url.hostname })
    let answer = ''
    socket.setTimeout(5_000, () => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.on('close', () => {
      resolve(/^HTTP\/1\.1 2\d\d /.test(answer))
    })
    socket.write(request)
  })
}

async function client(): Promise<void> {
  for (let start = performance.now(); start < until; start = performance.now()) {
    if (await exchange()) times.push(performance.now() - start)
    else errors++
  }
}

await Promise.all(Array.from({ length: Number(connections) }, client))
times.sort((a, b) => a - b)
const report: LoadResult = {
  requests: times.length,
  seconds: (performance.now() - begun) / 1_000,
  p50Ms: times[Math.floor(times.length * 0.5)] ?? 0,
  p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
  errors,
}
console.log(JSON.stringify(report))
