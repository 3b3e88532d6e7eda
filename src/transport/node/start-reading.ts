/** How a socket that somebody takes over begins. */
import type { Socket } from 'node:net'

/**
 * Puts `prefix`, copied, before what the socket gives, and has its handle read: HTTP/2 listens to the
 * handle itself, but never tells it to begin.
 */
export function startReading(socket: Socket, prefix: Uint8Array | undefined): void {
  if (prefix !== undefined && prefix.length > 0) socket.unshift(Buffer.from(prefix))
  socket.read(0)
}
