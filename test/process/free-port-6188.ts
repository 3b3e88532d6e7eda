/** Preloaded with `node --import`: a program that binds port 6188 gets a free port instead. */
import { replaceCall } from './replace-call.js'

type Bind = (fd: number, address: Buffer, length: number) => number

// The port stands third and fourth in a socket address.
replaceCall<Bind>('bind', (bind) => (fd, address, length) => {
  if (address.readUInt16BE(2) === 6188) address.writeUInt16BE(0, 2)
  return bind(fd, address, length)
})
