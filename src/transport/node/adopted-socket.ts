/** A connection over a socket of Node, made of a descriptor that was accepted elsewhere. */
import { Socket } from 'node:net'
import type { ConnectionDigest } from '../digest.js'
import { NodeConnection } from './node-connection.js'

/** Owns `fd` from here on; paused. */
export function adoptedSocket(
  fd: number,
  digest: ConnectionDigest,
  onUncaught: (error: unknown) => void,
): NodeConnection {
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
  socket.pause()
  return new NodeConnection(socket, { digest, readBuffer: null, onUncaught })
}
