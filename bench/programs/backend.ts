/** A small HTTP/1.1 server on raw sockets, for machines without nginx: `node backend.js LISTEN_PORT`. */
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { HUGE_BODY_BYTES, HUGE_PATH } from '../backend.js'
import { SCENARIOS, SMALL_BODY } from '../scenarios.js'

/** Answers the requests of one connection in turn; it reads nothing else while it sends a huge body. */
function serve(socket: Socket): void {
  let unread = ''
  const answerAll = (): void => {
    for (let end = unread.indexOf('\r\n\r\n'); end !== -1; end = unread.indexOf('\r\n\r\n')) {
      const head = unread.slice(0, end)
      unread = unread.slice(end + 4)
      const path = head.split(' ', 2)[1] ?? '/'
      const closes = /^connection: close\r?$/im.test(head)
      if (path === HUGE_PATH) {
        sendHugeBody(socket, answerAll)
        return
      }
      const answers = closes ? LAST_ANSWERS : ANSWERS
      socket.write(answers.get(path) ?? NOT_FOUND)
      if (closes) socket.end()
    }
  }
  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => {
    unread += chunk.toString('latin1')
    // A request to a benchmark's backend is short; anything that grows is not one.
    if (unread.length > MAX_UNREAD) socket.destroy()
    else answerAll()
  })
  socket.on('error', () => {
    socket.destroy()
  })
}

function sendHugeBody(socket: Socket, done: () => void): void {
  let left = HUGE_BODY_BYTES
  const more = (): void => {
    while (left > 0) {
      left -= CHUNK.length
      if (!socket.write(CHUNK)) break
    }
    if (left > 0) socket.once('drain', more)
    else done()
  }
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${HUGE_BODY_BYTES}\r\n\r\n`)
  more()
}

/** The whole answers by path, with `fields` (each with its CRLF) in the head. */
function answersWith(fields: string): ReadonlyMap<string, Buffer> {
  const answer = (body: Buffer): Buffer => {
    const length = `Content-Length: ${body.length}\r\n`
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${length}${fields}\r\n`
    return Buffer.concat([Buffer.from(head), body])
  }
  return new Map(SCENARIOS.map(({ path, bodyBytes }) => [path, answer(bodyOf(bodyBytes))]))
}

function bodyOf(bytes: number): Buffer {
  return bytes === SMALL_BODY.length ? Buffer.from(SMALL_BODY) : Buffer.alloc(bytes, 'x')
}

const MAX_UNREAD = 64 * 1024
const CHUNK = Buffer.alloc(64 * 1024, 'x')
const NOT_FOUND = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
const ANSWERS = answersWith('')
// A server that will close says so (RFC 9112 §9.6), or clients take the connection for a live one.
const LAST_ANSWERS = answersWith('Connection: close\r\n')

createServer(serve).listen({
  port: Number(process.argv[2]),
  host: '127.0.0.1',
  backlog: 4096,
})
