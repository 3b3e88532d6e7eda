/** Clients that make one keep-alive request each and then stay connected without a word. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export interface IdleClients {
  /** How many are connected still. */
  readonly open: number
  close(): void
}

/** Opens `count` clients, fifty at a time. Rejects when one gets no complete answer. */
export async function openIdleClients(
  port: number,
  path: string,
  count: number,
): Promise<IdleClients> {
  const sockets = new Set<Socket>()
  let left = count
  const openInTurn = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = await openClient(port, path)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
  }
  const close = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, openInTurn))
  } catch (error) {
    close()
    throw error
  }
  return {
    get open() {
      return sockets.size
    },
    close,
  }
}

function openClient(port: number, path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let answer = ''
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer to an idle client')))
    socket.on('error', reject)
    socket.on('end', () => {
      socket.destroy()
      reject(new Error(`an idle client was closed after ${answer.length} bytes`))
    })
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      if (!isComplete(answer)) return
      socket.setTimeout(0)
      resolve(socket)
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
  })
}

function isComplete(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  const length = /^content-length: *(\d+)/im.exec(answer)
  return end !== -1 && length !== null && answer.length >= end + 4 + Number(length[1])
}

const AT_ONCE = 50
