/**
 * A TLS handshake for each request, full or resumed: `node handshake-load.js URL CONNECTIONS SECONDS
 * [resume]`. A session that is not resumed though it should be is an error.
 */
import { connect } from 'node:tls'
import { runClosedLoop } from './closed-loop.js'

const [link = '', connections, seconds, resume] = process.argv.slice(2)
const url = new URL(link)
const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`

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

const session = resume === undefined ? undefined : await exchange()
await runClosedLoop(
  Number(connections),
  Number(seconds),
  async () => (await exchange(session)) !== undefined,
)
