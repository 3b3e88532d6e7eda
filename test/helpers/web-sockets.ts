/** WebSocket clients and servers of the package `ws`, for tests of what carries them. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import type { ClientOptions, RawData, ServerOptions } from 'ws'

/** A server that listens until the test ends. */
export interface WebSocketBackend {
  readonly port: number
  readonly server: WebSocketServer
  /** TCP connections that are open now. */
  readonly sockets: ReadonlySet<Socket>
}

/** Starts a server on a free port of the loopback address; by itself it echoes what it gets. */
export async function startWebSocketBackend(
  t: TestContext,
  onSocket: (socket: WebSocket) => void = echo,
  options: ServerOptions = {},
): Promise<WebSocketBackend> {
  const http = createServer()
  const sockets = new Set<Socket>()
  http.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const server = new WebSocketServer({ server: http, maxPayload: MAX_PAYLOAD_BYTES, ...options })
  server.on('connection', onSocket)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    http.close()
  })
  return { port: (http.address() as AddressInfo).port, server, sockets }
}

/** Sends back what comes, in the same kind of message. */
export function echo(socket: WebSocket): void {
  socket.on('message', (data, isBinary) => {
    socket.send(data, { binary: isBinary })
  })
}

/** A client that is connected; it is cut off when the test ends. */
export async function openWebSocket(
  t: TestContext,
  url: string,
  options: ClientOptions = {},
): Promise<WebSocket> {
  const socket = new WebSocket(url, { maxPayload: MAX_PAYLOAD_BYTES, ...options })
  t.after(() => {
    socket.terminate()
  })
  await once(socket, 'open')
  return socket
}

/** The next message, and whether it is a binary one. */
export async function nextMessage(socket: WebSocket): Promise<[Buffer, boolean]> {
  const [data, isBinary] = (await once(socket, 'message')) as [RawData, boolean]
  return [data as Buffer, isBinary]
}

/** The code and the reason of the close that comes. */
export async function nextClose(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return [code, String(reason)]
}

const MAX_PAYLOAD_BYTES = 128 * 1024 * 1024
