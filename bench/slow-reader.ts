/** A client that first reads nothing, then reads steadily below what a loopback could carry. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Requests `path` and reads the whole answer slowly: two seconds not at all, so that all buffers on
 * the way fill, then {@link BYTES_PER_MS}.
 * @throws Error when the answer is not a 200 or ends before `bodyBytes` of body have come.
 */
export async function readSlowly(port: number, path: string, bodyBytes: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  let ended: string | undefined
  socket.on('error', (error) => (ended ??= error.message))
  socket.on('close', () => (ended ??= 'closed'))
  socket.on('end', () => (ended ??= 'ended'))
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
  // Without a data listener the socket reads one buffer full; then the kernel stops the sender.
  await sleep(STALL_MS)

  let head = ''
  let expected = Infinity
  let received = 0
  let allowed = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (expected === Infinity) {
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end !== -1) expected = head.startsWith('HTTP/1.1 200 ') ? end + 4 + bodyBytes : end + 4
    }
    if (received >= allowed) socket.pause()
  })
  const begun = performance.now()
  while (received < expected && ended === undefined) {
    if (performance.now() - begun > MAX_MS) ended = 'given up'
    allowed = (performance.now() - begun) * BYTES_PER_MS
    if (received < allowed) socket.resume()
    await sleep(2)
  }
  socket.destroy()
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`slow reader got ${head.split('\r\n')[0]}`)
  if (received < expected) throw new Error(`slow reader: ${ended} after ${received} bytes`)
}

const STALL_MS = 2_000
const MAX_MS = 60_000
// 200 MB/s: far below the loopback's pace, and a gibibyte still takes only some six seconds.
const BYTES_PER_MS = 200_000
