/**
 * A TLS handshake for each request, full or resumed: `node handshake-load.js URL CONNECTIONS SECONDS
 * [resume]`. A session that is not resumed though it should be is an error.
 */
import { connect } from 'node:tls'
import type { LoadResult } from '../load-generator.js'

const [link = '', connections, seconds, resume] = process.argv.slice(2)
const url = new URL(link)
const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`
const times: number[] = []
let errors = 0

/** Makes one request. @returns the next session, or `undefined` when something went wrong. */
function exchange(session?: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const target = { port: Number(url.port), host: url.hostname, rejectUnauthorized: false }
    const socket = connect({ ...target, ...(session && { session }) })
    let answer = ''
    let next: Buffer | undefined
    socket.setTimeout(5_000, () => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('session', (bytes: Buffer) => (next = bytes))
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.on('close', () => {
      const isGood = /^HTTP\/1\.1 2\d\d /.test(answer)
      resolve(isGood && (!session || isResumed) ? (next ?? session) : undefined)
    })
    let isResumed = false
    socket.on('secureConnect', () => (isResumed = socket.isSessionReused()))
    socket.write(request)
  })
}

async function client(first: Buffer | undefined, until: number): Promise<void> {
  for (let start = performance.now(); start < until; start = performance.now()) {
    if (await exchange(first)) times.push(performance.now() - start)
    else errors++
  }
}

const session = resume === undefined ? undefined : await exchange()
const begun = performance.now()
const until = begun + Number(seconds) * 1_000
await Promise.all(Array.from({ length: Number(connections) }, () => client(session, until)))
times.sort((a, b) => a - b)
const report: LoadResult = {
  requests: times.length,
  seconds: (performance.now() - begun) / 1_000,
  p50Ms: times[Math.floor(times.length * 0.5)] ?? 0,
  p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
  errors,
}
console.log(JSON.stringify(report))
