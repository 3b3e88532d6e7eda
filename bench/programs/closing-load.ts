/**
 * One connection per request, for machines without wrk: autocannon counts no response on a
 * connection that closes. `node closing-load.js URL CONNECTIONS SECONDS`.
 */
import { connect } from 'node:net'
import { runClosedLoop } from './closed-loop.js'

const [link = '', connections, seconds] = process.argv.slice(2)
const url = new URL(link)
const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`

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

await runClosedLoop(Number(connections), Number(seconds), exchange)
